package main

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"

	"portcullis.dev/tests/go/internal/wire"
)

// PerCallLimit is what Kubernetes lets one expression cost (apiserver's pkg/apis/cel/config.go).
const PerCallLimit = 1_000_000

// environments are costly to make, so that those without declarations are made once.
var (
	plain = sync.OnceValues(func() (*cel.Env, error) { return base(false) })
	mixed = sync.OnceValues(func() (*cel.Env, error) { return base(true) })
)

// base is the language as ValidatingAdmissionPolicy has it in 1.37 (apiserver's pkg/cel/environment/base.go),
// without Kubernetes' libraries. With mixed, literals may hold values of several types, as in the standard.
func base(mixed bool) (*cel.Env, error) {
	validators := []cel.ASTValidator{
		cel.ValidateDurationLiterals(),
		cel.ValidateTimestampLiterals(),
		cel.ValidateRegexLiterals(),
	}
	options := []cel.EnvOption{
		// Kubernetes has this off; it only keeps what used.go counts.
		cel.EnableMacroCallTracking(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.TwoVarComprehensions(),
	}
	if !mixed {
		options = append(options, cel.HomogeneousAggregateLiterals())
		validators = append(validators, cel.ValidateHomogeneousAggregateLiterals())
	}
	return cel.NewEnv(append(options, cel.ASTValidators(validators...))...)
}

// programOptions are those of base.go, with the interruption of apiserver's pkg/admission/plugin/cel/compile.go.
func programOptions(limit uint64) []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost),
		cel.CostLimit(limit),
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

// environment is the base with what a scope declares.
func environment(names *scope) (*cel.Env, error) {
	chosen := plain
	if names.Mixed {
		chosen = mixed
	}
	env, err := chosen()
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
