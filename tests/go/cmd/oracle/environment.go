package main

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apimachinery/pkg/util/version"
	k8s "k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"

	"portcullis.dev/tests/go/internal/wire"
)

// PerCallLimit is what Kubernetes lets one expression cost (apiserver's pkg/apis/cel/config.go).
const PerCallLimit = 1_000_000

// environments are costly to make, so that those without declarations are made once.
var (
	plain = map[string]*cel.Env{}
	mixed = sync.OnceValues(func() (*cel.Env, error) { return standard() })
	loose = sync.OnceValues(func() (*cel.Env, error) { return standard(libraries...) })
)

// newest is the version whose environment is meant where none is named.
const newest = "1.37"

// tracking keeps what used.go counts; Kubernetes has it off.
var tracking = cel.EnableMacroCallTracking()

// kubernetes is what ValidatingAdmissionPolicy has in a version.
func kubernetes(named string) (*cel.Env, error) {
	if named == "" {
		named = newest
	}
	if env, ok := plain[named]; ok {
		return env, nil
	}
	parsed, err := version.ParseMajorMinor(named)
	if err != nil {
		return nil, err
	}
	env, err := k8s.MustBaseEnvSet(parsed).NewExpressionsEnv().Extend(tracking)
	plain[named] = env
	return env, err
}

// libraries are those of apiserver's pkg/cel/environment/base.go in the newest version.
var libraries = []cel.EnvOption{
	ext.Strings(ext.StringsVersion(2)),
	ext.Sets(),
	ext.Lists(ext.ListsVersion(3)),
	library.Lists(library.ListsVersion(1)),
	library.URLs(),
	library.Regex(),
	library.Quantity(),
	library.IP(),
	library.CIDR(),
	library.Format(),
	library.SemverLib(library.SemverVersion(1)),
}

// standard is the language with literals of several types, and with libraries.
func standard(libraries ...cel.EnvOption) (*cel.Env, error) {
	return cel.NewEnv(append(libraries,
		tracking,
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.TwoVarComprehensions(),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
		),
	)...)
}

// programOptions are those of apiserver's pkg/cel/environment/base.go, which an environment of its own has
// already, with the interruption of its pkg/admission/plugin/cel/compile.go.
func programOptions(limit uint64) []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost),
		cel.CostLimit(limit),
		cel.CostTracking(&library.CostEstimator{}),
		cel.CostTrackerOptions(interpreter.PresenceTestHasCost(false)),
		cel.InterruptCheckFrequency(100),
	}
}

// documents and scopes are those that came before, by name.
var (
	documents = map[string]any{}
	scopes    = map[string]prepared{}
)

// prepared is a scope with its environment.
type prepared struct {
	scope
	env *cel.Env
}

// extended is an environment with what a scope declares.
func extended(names *scope) (*cel.Env, error) {
	env, err := kubernetes(names.Kubernetes)
	switch {
	case names.Mixed && names.Kubernetes != "":
		env, err = loose()
	case names.Mixed:
		env, err = mixed()
	}
	if err != nil {
		return nil, err
	}
	options := []cel.EnvOption{}
	for name, declared := range names.Declarations {
		options = append(options, cel.Variable(name, declared.Type))
	}
	if len(names.Objects) > 0 {
		options = append(options, cel.CustomTypeProvider(&objects{env.CELTypeProvider(), names.Objects}))
	}
	if names.Container != "" {
		options = append(options, cel.Container(names.Container))
	}
	if len(options) == 0 {
		return env, nil
	}
	return env.Extend(options...)
}

// objects adds object types with declared fields, whose values are maps, as the API server's are.
type objects struct {
	types.Provider
	declared map[string]map[string]wire.Type
}

func (o *objects) FindStructType(name string) (*types.Type, bool) {
	if _, ok := o.declared[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return o.Provider.FindStructType(name)
}

func (o *objects) FindStructFieldNames(name string) ([]string, bool) {
	fields, ok := o.declared[name]
	if !ok {
		return o.Provider.FindStructFieldNames(name)
	}
	names := []string{}
	for field := range fields {
		names = append(names, field)
	}
	return names, true
}

func (o *objects) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	fields, ok := o.declared[name]
	if !ok {
		return o.Provider.FindStructFieldType(name, field)
	}
	declared, ok := fields[field]
	if !ok {
		return nil, false
	}
	return &types.FieldType{Type: declared.Type}, true
}

// activation gives the declared variables their values.
func activation(request *request) (map[string]any, error) {
	vars := map[string]any{}
	names := scopes[request.In]
	bind := func(name, document string) error {
		value, ok := documents[document]
		if !ok {
			return fmt.Errorf("there is no document `%s`", document)
		}
		vars[name] = value
		return nil
	}
	for name, document := range names.Documents {
		if err := bind(name, document); err != nil {
			return nil, err
		}
	}
	if request.Object != "" {
		if err := bind("object", request.Object); err != nil {
			return nil, err
		}
	}
	for name, value := range names.Values {
		bound, err := value.ToCEL()
		if err != nil {
			return nil, fmt.Errorf("binding of `%s`: %w", name, err)
		}
		vars[name] = bound
	}
	return vars, nil
}
