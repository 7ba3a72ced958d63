package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
)

// used lists what an expression is made of: `macro all`, `overload add_int64`, and `dyn _+_` for a call whose
// overload is only known when it runs.
func used(checked *cel.Ast) []string {
	found := []string{}
	native := checked.NativeRep()
	for _, call := range native.SourceInfo().MacroCalls() {
		if call.Kind() == ast.CallKind {
			found = append(found, fmt.Sprintf("macro %s/%d", call.AsCall().FunctionName(), len(call.AsCall().Args())))
		}
	}
	visitor := ast.NewExprVisitor(func(expr ast.Expr) {
		switch expr.Kind() {
		case ast.CallKind:
			name := expr.AsCall().FunctionName()
			switch overloads := native.GetOverloadIDs(expr.ID()); len(overloads) {
			case 0:
			case 1:
				found = append(found, "overload "+overloads[0])
			default:
				found = append(found, "dyn "+name)
			}
		case ast.ListKind:
			found = append(found, "list")
		case ast.MapKind:
			found = append(found, "map")
		case ast.SelectKind:
			if !expr.AsSelect().IsTestOnly() {
				found = append(found, "select")
			}
		}
	})
	ast.PostOrderVisit(native.Expr(), visitor)
	slices.Sort(found)
	return found
}

// printOverloads prints all that expressions can be made of, as used names it.
func printOverloads() error {
	env, err := kubernetes(newest)
	if err != nil {
		return err
	}
	found := []string{"list", "map", "select"}
	for name, function := range env.Functions() {
		// Those with an @ are what macros and optimizers are made of; but for `in`.
		if name != "@in" && strings.Contains(name, "@") || function.IsDeclarationDisabled() {
			continue
		}
		shapes := map[string]int{}
		for _, overload := range function.OverloadDecls() {
			found = append(found, "overload "+overload.ID())
			shapes[fmt.Sprint(overload.IsMemberFunction(), len(overload.ArgTypes()))]++
		}
		for _, count := range shapes {
			// The number of arguments alone can tell which overload is called.
			if count > 1 {
				found = append(found, "dyn "+name)
			}
		}
	}
	for _, macro := range env.Macros() {
		found = append(found, fmt.Sprintf("macro %s/%d", macro.Function(), macro.ArgCount()))
	}
	slices.Sort(found)
	fmt.Println(strings.Join(slices.Compact(found), "\n"))
	return nil
}
