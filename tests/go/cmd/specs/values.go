package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	exprpb "cel.dev/expr"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"portcullis.dev/tests/go/internal/wire"
)

// readType reads a type that has nothing of protobuf's messages.
func readType(described *exprpb.Type) (wire.Type, error) {
	found, err := types.ProtoAsType(described)
	if err != nil {
		return wire.Type{}, err
	}
	if err := withoutMessages(found); err != nil {
		return wire.Type{}, err
	}
	return wire.Type{Type: found}, nil
}

func withoutMessages(found *cel.Type) error {
	if found.Kind() == types.StructKind || found.Kind() == types.AnyKind {
		return fmt.Errorf("the type `%s`", found)
	}
	if found.Kind() == types.OpaqueKind && found.TypeName() != "optional_type" {
		return fmt.Errorf("the type `%s`", found)
	}
	for _, parameter := range found.Parameters() {
		if err := withoutMessages(parameter); err != nil {
			return err
		}
	}
	return nil
}

// readValue reads a value that has nothing of protobuf's messages but durations and timestamps.
func readValue(value *exprpb.Value) (wire.Value, error) {
	switch v := value.GetKind().(type) {
	case *exprpb.Value_NullValue:
		return wire.Value{Type: "null"}, nil
	case *exprpb.Value_BoolValue:
		return wire.Value{Type: "bool", Value: v.BoolValue}, nil
	case *exprpb.Value_Int64Value:
		return wire.Value{Type: "int", Value: strconv.FormatInt(v.Int64Value, 10)}, nil
	case *exprpb.Value_Uint64Value:
		return wire.Value{Type: "uint", Value: strconv.FormatUint(v.Uint64Value, 10)}, nil
	case *exprpb.Value_DoubleValue:
		return wire.FromCEL(types.Double(v.DoubleValue))
	case *exprpb.Value_StringValue:
		return wire.Value{Type: "string", Value: v.StringValue}, nil
	case *exprpb.Value_BytesValue:
		return wire.Value{Type: "bytes", Value: base64.StdEncoding.EncodeToString(v.BytesValue)}, nil
	case *exprpb.Value_TypeValue:
		return wire.Value{Type: "type", Value: v.TypeValue}, nil
	case *exprpb.Value_EnumValue:
		return wire.Value{}, fmt.Errorf("the enum `%s`", v.EnumValue.GetType())
	case *exprpb.Value_ObjectValue:
		message, err := v.ObjectValue.UnmarshalNew()
		if err != nil {
			return wire.Value{}, err
		}
		return readMessage(message)
	case *exprpb.Value_ListValue:
		items := []wire.Value{}
		for _, item := range v.ListValue.GetValues() {
			read, err := readValue(item)
			if err != nil {
				return wire.Value{}, err
			}
			items = append(items, read)
		}
		return wire.Value{Type: "list", Value: items}, nil
	case *exprpb.Value_MapValue:
		pairs := [][2]wire.Value{}
		for _, entry := range v.MapValue.GetEntries() {
			key, err := readValue(entry.GetKey())
			if err != nil {
				return wire.Value{}, err
			}
			read, err := readValue(entry.GetValue())
			if err != nil {
				return wire.Value{}, err
			}
			pairs = append(pairs, [2]wire.Value{key, read})
		}
		wire.SortPairs(pairs)
		return wire.Value{Type: "map", Value: pairs}, nil
	}
	return wire.Value{}, fmt.Errorf("a value of an unknown kind: %v", value)
}

func readMessage(message proto.Message) (wire.Value, error) {
	switch m := message.(type) {
	case *durationpb.Duration:
		return wire.FromCEL(types.Duration{Duration: m.AsDuration()})
	case *timestamppb.Timestamp:
		return wire.FromCEL(types.Timestamp{Time: m.AsTime()})
	}
	return wire.Value{}, fmt.Errorf("the message `%s`", message.ProtoReflect().Descriptor().FullName())
}

// usedMessages names the first thing of protobuf's that an expression uses.
func usedMessages(expression string) string {
	env, err := cel.NewEnv(cel.OptionalTypes())
	if err != nil {
		return ""
	}
	parsed, issues := env.Parse(expression)
	if issues.Err() != nil {
		return ""
	}
	found := ""
	visitor := ast.NewExprVisitor(func(expr ast.Expr) {
		name := ""
		switch expr.Kind() {
		case ast.StructKind:
			name = expr.AsStruct().TypeName()
		case ast.IdentKind:
			name = expr.AsIdent()
		case ast.SelectKind:
			name = path(expr)
		}
		name = strings.TrimPrefix(name, ".")
		if expr.Kind() == ast.StructKind || isMessage(name) {
			found = "the message `" + name + "`"
		}
	})
	ast.PostOrderVisit(parsed.NativeRep().Expr(), visitor)
	return found
}

// path is the qualified name that a chain of selections spells, if it is one.
func path(expr ast.Expr) string {
	switch expr.Kind() {
	case ast.IdentKind:
		return expr.AsIdent()
	case ast.SelectKind:
		return path(expr.AsSelect().Operand()) + "." + expr.AsSelect().FieldName()
	}
	return "?"
}

// isMessage says whether a name is one of the messages or enums that the tests are written with.
func isMessage(name string) bool {
	if name == "google.protobuf.Timestamp" || name == "google.protobuf.Duration" {
		return false
	}
	for _, prefix := range []string{"google.protobuf.", "cel.expr.conformance.", "TestAllTypes", "GlobalEnum", "NestedTestAllTypes", "proto2.", "proto3."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
