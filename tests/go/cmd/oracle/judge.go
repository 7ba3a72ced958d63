package main

import (
	"context"
	"fmt"
	"reflect"

	"github.com/google/cel-go/cel"

	"portcullis.dev/tests/go/internal/wire"
)

// verdict is what becomes of an expression.
type verdict struct {
	// Broken says why the request cannot be judged at all.
	Broken string `json:"broken,omitempty"`
	// Issues are what parser, checker and validators find; Program what stops the planner.
	Issues  []issue `json:"issues,omitempty"`
	Program string  `json:"program,omitempty"`
	// Type is the checked type; absent from unchecked expressions.
	Type string `json:"type,omitempty"`
	// Used are the functions, overloads and macros in it.
	Used []string `json:"used,omitempty"`
	// Outcomes are the different ends of its evaluations: the order of a map's keys is not fixed.
	Outcomes []outcome `json:"outcomes,omitempty"`
}

type issue struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

type outcome struct {
	Value *wire.Value `json:"value,omitempty"`
	Error string      `json:"error,omitempty"`
	Cost  uint64      `json:"cost"`
}

func judge(request *request) (result *verdict) {
	defer func() {
		if problem := recover(); problem != nil {
			result = &verdict{Broken: fmt.Sprint("panic: ", problem)}
		}
	}()
	program, result := compile(request)
	if program == nil {
		return result
	}
	vars, err := activation(request)
	if err != nil {
		result.Broken = err.Error()
		return result
	}
	for range max(request.Repeat, 1) {
		found, err := evaluate(program, vars)
		if err != nil {
			result.Broken = err.Error()
			return result
		}
		known := false
		for _, earlier := range result.Outcomes {
			known = known || reflect.DeepEqual(earlier, found)
		}
		if !known {
			result.Outcomes = append(result.Outcomes, found)
		}
	}
	return result
}

// compile makes a program, or says in the verdict why there is none.
func compile(request *request) (cel.Program, *verdict) {
	result := &verdict{}
	names, ok := scopes[request.In]
	if !ok {
		result.Broken = fmt.Sprintf("there is no scope `%s`", request.In)
		return nil, result
	}
	env := names.env
	ast, issues := env.Parse(request.Expression)
	if issues.Err() == nil && !request.Unchecked {
		ast, issues = env.Compile(request.Expression)
	}
	if issues.Err() != nil {
		for _, found := range issues.Errors() {
			result.Issues = append(result.Issues,
				issue{found.Location.Line(), found.Location.Column() + 1, found.Message})
		}
		return nil, result
	}
	if !request.Unchecked {
		result.Type = cel.FormatCELType(ast.OutputType())
	}
	result.Used = used(ast)
	limit := request.Limit
	if limit == 0 {
		limit = PerCallLimit
	}
	program, err := env.Program(ast, programOptions(limit)...)
	if err != nil {
		result.Program = err.Error()
		return nil, result
	}
	return program, result
}

func evaluate(program cel.Program, vars map[string]any) (outcome, error) {
	value, details, err := program.ContextEval(context.Background(), vars)
	found := outcome{}
	if details != nil && details.ActualCost() != nil {
		found.Cost = *details.ActualCost()
	}
	if err != nil {
		found.Error = err.Error()
		return found, nil
	}
	written, err := wire.FromCEL(value)
	found.Value = &written
	return found, err
}
