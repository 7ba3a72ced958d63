//go:build recorder

// Package cel is a file that is added to a copy of cel-go's package of this name: it prints every expression
// that is compiled or evaluated, with all that is needed to do so again elsewhere. `cargo xtask tables` makes
// the copy, in which Env.Compile, Env.Program and Program.Eval are renamed to the functions that are called here.
package cel

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"

	"github.com/google/cel-go/wire"
)

// marker begins the lines that are records.
const marker = "recorded: "

// record is one compilation that failed, or one evaluation.
type record struct {
	Expression string `json:"expression"`
	// Kubernetes is the version whose environment it is, if it has all of one.
	Kubernetes   string                          `json:"kubernetes,omitempty"`
	Declarations map[string]wire.Type            `json:"declarations"`
	Objects      map[string]map[string]wire.Type `json:"objects"`
	Values       map[string]wire.Value           `json:"values"`
	Refused      string                          `json:"refused,omitempty"`
	Value        *wire.Value                     `json:"value,omitempty"`
	Error        string                          `json:"error,omitempty"`
	// Lost says what of it cannot be recorded.
	Lost string `json:"lost,omitempty"`
}

// additions name a function that each version of Kubernetes added, the newest first.
var additions = []struct{ function, version string }{
	{"includes", "1.37"},
	{"lists.range", "1.34"},
	{"semver", "1.33"},
	{"cel.@mapInsert", "1.32"},
	{"format.named", "1.31"},
	{"cidr", "1.30"},
	{"sets.contains", "1.29"},
	{"quantity", "1.28"},
	{"check", "1.27"},
	{"find", "1.26"},
}

var (
	// sources are the texts of programs.
	sources    sync.Map
	identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z_0-9]*`)
)

// Compile records what does not compile.
func (e *Env) Compile(text string) (*Ast, *Issues) {
	compiled, issues := e.compileUnrecorded(text)
	if issues.Err() != nil {
		found := e.describe(text)
		found.Refused = issues.Errors()[0].Message
		found.print()
	}
	return compiled, issues
}

// Program remembers the source of a program.
func (e *Env) Program(ast *Ast, opts ...ProgramOption) (Program, error) {
	program, err := e.programUnrecorded(ast, opts...)
	if made, ok := program.(*prog); ok && ast.Source() != nil {
		sources.Store(made, ast.Source().Content())
	}
	return program, err
}

// Eval records an evaluation.
func (p *prog) Eval(input any) (ref.Val, *EvalDetails, error) {
	value, details, err := p.evalUnrecorded(input)
	if source, ok := sources.Load(p); ok {
		p.record(source.(string), input, value, err)
	}
	return value, details, err
}

func (p *prog) record(source string, input any, value ref.Val, err error) {
	found := p.describe(source)
	defer found.print()
	defer func() {
		if problem := recover(); problem != nil {
			found.Lost = fmt.Sprint(problem)
		}
	}()
	if err != nil {
		found.Error = err.Error()
	} else if written, err := wire.FromCEL(value); err != nil {
		found.Lost = err.Error()
	} else {
		found.Value = &written
	}
	activation, err := interpreter.NewActivation(input)
	if err != nil {
		found.Lost = err.Error()
		return
	}
	for name := range found.Declarations {
		bound, ok := activation.ResolveName(name)
		if !ok {
			continue
		}
		written, err := wire.FromCEL(p.adapter.NativeToValue(bound))
		if err != nil {
			found.Lost = fmt.Sprintf("binding of `%s`: %v", name, err)
			return
		}
		if written.Type == "opaque" {
			found.Lost = fmt.Sprintf("binding of `%s`: a value of a library's own type", name)
			return
		}
		found.Values[name] = written
	}
}

// describe is what an expression may name, as far as the names occur in it.
func (e *Env) describe(source string) *record {
	found := &record{
		Expression:   source,
		Declarations: map[string]wire.Type{},
		Objects:      map[string]map[string]wire.Type{},
		Values:       map[string]wire.Value{},
	}
	functions := e.Functions()
	if functions["find"] != nil && functions["isSorted"] != nil && functions["url"] != nil && functions["jsonpatch.escapeKey"] == nil {
		for _, addition := range additions {
			if functions[addition.function] != nil {
				found.Kubernetes = addition.version
				break
			}
		}
	}
	for _, variable := range e.Variables() {
		if strings.Contains(source, variable.Name()) && !variable.Type().IsExactType(TypeType) {
			found.declare(e, variable.Name(), variable.Type())
		}
	}
	return found
}

func (r *record) declare(e *Env, name string, of *Type) {
	if of.Kind() == TypeKind {
		return
	}
	r.Declarations[name] = wire.Type{Type: of}
	r.describeType(e, of)
}

// describeType adds the fields of the object types that a type is made of.
func (r *record) describeType(e *Env, of *Type) {
	for _, parameter := range of.Parameters() {
		r.describeType(e, parameter)
	}
	if _, err := json.Marshal(wire.Type{Type: of}); err != nil {
		r.Lost = err.Error()
		return
	}
	if of.Kind() != StructKind || r.Objects[of.TypeName()] != nil {
		return
	}
	fields := map[string]wire.Type{}
	r.Objects[of.TypeName()] = fields
	// Not every provider lists the fields of a type, but each knows those that the expression can name.
	for _, name := range identifier.FindAllString(r.Expression, -1) {
		if _, known := fields[name]; known {
			continue
		}
		if field, ok := e.CELTypeProvider().FindStructFieldType(of.TypeName(), name); ok {
			fields[name] = wire.Type{Type: field.Type}
			r.describeType(e, field.Type)
		}
	}
}

func (r *record) print() {
	if r.Lost != "" {
		r.Declarations, r.Objects, r.Values = nil, nil, nil
	}
	written, err := json.Marshal(r)
	if err != nil {
		written, _ = json.Marshal(record{Expression: r.Expression, Lost: err.Error()})
	}
	fmt.Printf("\n%s%s\n", marker, written)
}
