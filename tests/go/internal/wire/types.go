// Package wire holds the JSON forms of types and values in which programs outside Go talk to the oracle.
package wire

import (
	"encoding/json"
	"fmt"

	"github.com/google/cel-go/common/types"
)

// Type is a CEL type: a name, such as "int", or a list of a constructor and what it is of, such as
// ["map", "string", "dyn"].
type Type struct{ *types.Type }

var named = map[string]*types.Type{
	"any":       types.AnyType,
	"bool":      types.BoolType,
	"bytes":     types.BytesType,
	"double":    types.DoubleType,
	"duration":  types.DurationType,
	"dyn":       types.DynType,
	"int":       types.IntType,
	"null":      types.NullType,
	"string":    types.StringType,
	"timestamp": types.TimestampType,
	"type":      types.TypeType,
	"uint":      types.UintType,
}

// UnmarshalJSON reads either form.
func (t *Type) UnmarshalJSON(data []byte) error {
	var name string
	if json.Unmarshal(data, &name) == nil {
		if plain, ok := named[name]; ok {
			t.Type = plain
			return nil
		}
		return fmt.Errorf("no type is called %q", name)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil || len(parts) < 2 {
		return fmt.Errorf("not a type: %s", data)
	}
	if err := json.Unmarshal(parts[0], &name); err != nil {
		return err
	}
	if name == "object" {
		var object string
		if err := json.Unmarshal(parts[1], &object); err != nil {
			return err
		}
		t.Type = types.NewObjectType(object)
		return nil
	}
	of := make([]Type, len(parts)-1)
	for i, part := range parts[1:] {
		if err := json.Unmarshal(part, &of[i]); err != nil {
			return err
		}
	}
	switch {
	case name == "list" && len(of) == 1:
		t.Type = types.NewListType(of[0].Type)
	case name == "map" && len(of) == 2:
		t.Type = types.NewMapType(of[0].Type, of[1].Type)
	case name == "optional" && len(of) == 1:
		t.Type = types.NewOptionalType(of[0].Type)
	case name == "type" && len(of) == 1:
		t.Type = types.NewTypeTypeWithParam(of[0].Type)
	case name == "wrapper" && len(of) == 1:
		t.Type = types.NewNullableType(of[0].Type)
	default:
		return fmt.Errorf("not a type: %s", data)
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (t Type) MarshalJSON() ([]byte, error) {
	of := func(constructor string) ([]byte, error) {
		parts := []any{constructor}
		for _, parameter := range t.Parameters() {
			parts = append(parts, Type{parameter})
		}
		return json.Marshal(parts)
	}
	switch t.Kind() {
	case types.ListKind:
		return of("list")
	case types.MapKind:
		return of("map")
	case types.TypeKind:
		if len(t.Parameters()) > 0 {
			return of("type")
		}
	case types.StructKind:
		return json.Marshal([]string{"object", t.TypeName()})
	case types.OpaqueKind:
		if len(t.Parameters()) == 1 && t.IsExactType(types.NewOptionalType(t.Parameters()[0])) {
			return of("optional")
		}
	}
	for name, plain := range named {
		if plain.IsExactType(t.Type) {
			return json.Marshal(name)
		}
		if name != "dyn" && types.NewNullableType(plain).IsExactType(t.Type) {
			return json.Marshal([]any{"wrapper", name})
		}
	}
	return nil, fmt.Errorf("`%s` has no JSON form", t.Type)
}
