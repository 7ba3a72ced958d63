package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Value is a CEL value beside the name of its type. Numbers are text, so that no reader rounds them; bytes are
// base64; a duration is its nanoseconds, a timestamp `<seconds>.<nanoseconds>` since 1970; a map is a list of
// pairs in the order of their keys' JSON.
type Value struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// FromCEL writes a value of cel-go's.
func FromCEL(val ref.Val) (Value, error) {
	switch v := val.(type) {
	case types.Null:
		return Value{"null", nil}, nil
	case types.Bool:
		return Value{"bool", bool(v)}, nil
	case types.Int:
		return Value{"int", strconv.FormatInt(int64(v), 10)}, nil
	case types.Uint:
		return Value{"uint", strconv.FormatUint(uint64(v), 10)}, nil
	case types.Double:
		return Value{"double", double(float64(v))}, nil
	case types.String:
		return Value{"string", string(v)}, nil
	case types.Bytes:
		return Value{"bytes", base64.StdEncoding.EncodeToString(v)}, nil
	case types.Duration:
		return Value{"duration", strconv.FormatInt(int64(v.Duration), 10)}, nil
	case types.Timestamp:
		return Value{"timestamp", fmt.Sprintf("%d.%09d", v.Unix(), v.Nanosecond())}, nil
	case *types.Type:
		return Value{"type", v.TypeName()}, nil
	case *types.Optional:
		if !v.HasValue() {
			return Value{"optional", nil}, nil
		}
		inner, err := FromCEL(v.GetValue())
		return Value{"optional", inner}, err
	case traits.Mapper:
		return fromMap(v)
	case traits.Lister:
		return fromList(v)
	}
	if strings.HasPrefix(val.Type().TypeName(), "kubernetes.") || strings.HasPrefix(val.Type().TypeName(), "net.") {
		written := val.Value()
		if named := reflect.ValueOf(written); named.Kind() == reflect.Struct && named.FieldByName("Name").IsValid() {
			written = named.FieldByName("Name")
		}
		return Value{"opaque", fmt.Sprint(written)}, nil
	}
	return Value{}, fmt.Errorf("a value of type `%s` has no JSON form", val.Type().TypeName())
}

func fromList(list traits.Lister) (Value, error) {
	items := []Value{}
	for it := list.Iterator(); it.HasNext() == types.True; {
		item, err := FromCEL(it.Next())
		if err != nil {
			return Value{}, err
		}
		items = append(items, item)
	}
	return Value{"list", items}, nil
}

func fromMap(m traits.Mapper) (Value, error) {
	pairs := [][2]Value{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		k, err := FromCEL(key)
		if err != nil {
			return Value{}, err
		}
		v, err := FromCEL(m.Get(key))
		if err != nil {
			return Value{}, err
		}
		pairs = append(pairs, [2]Value{k, v})
	}
	SortPairs(pairs)
	return Value{"map", pairs}, nil
}

// SortPairs puts the pairs of a map into the order in which they are compared.
func SortPairs(pairs [][2]Value) {
	order := func(key Value) string { return fmt.Sprint(key.Type, " ", key.Value) }
	sort.Slice(pairs, func(i, j int) bool { return order(pairs[i][0]) < order(pairs[j][0]) })
}

func double(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+")
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// UnmarshalJSON keeps the parts of lists, maps and optionals typed.
func (v *Value) UnmarshalJSON(data []byte) error {
	var raw struct {
		Type  string
		Value json.RawMessage
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	v.Type = raw.Type
	switch raw.Type {
	case "list":
		items := []Value{}
		err := json.Unmarshal(raw.Value, &items)
		v.Value = items
		return err
	case "map":
		pairs := [][2]Value{}
		err := json.Unmarshal(raw.Value, &pairs)
		v.Value = pairs
		return err
	case "optional":
		var inner *Value
		err := json.Unmarshal(raw.Value, &inner)
		if inner != nil {
			v.Value = *inner
		}
		return err
	}
	return json.Unmarshal(raw.Value, &v.Value)
}

// ToCEL makes the value that FromCEL wrote.
func (v Value) ToCEL() (ref.Val, error) {
	text, _ := v.Value.(string)
	switch v.Type {
	case "null":
		return types.NullValue, nil
	case "bool":
		return types.Bool(v.Value == true), nil
	case "int":
		number, err := strconv.ParseInt(text, 10, 64)
		return types.Int(number), err
	case "uint":
		number, err := strconv.ParseUint(text, 10, 64)
		return types.Uint(number), err
	case "double":
		number, err := strconv.ParseFloat(text, 64)
		return types.Double(number), err
	case "string":
		return types.String(text), nil
	case "bytes":
		data, err := base64.StdEncoding.DecodeString(text)
		return types.Bytes(data), err
	case "duration":
		nanoseconds, err := strconv.ParseInt(text, 10, 64)
		return types.Duration{Duration: time.Duration(nanoseconds)}, err
	case "timestamp":
		var seconds, nanoseconds int64
		_, err := fmt.Sscanf(text, "%d.%d", &seconds, &nanoseconds)
		return types.Timestamp{Time: time.Unix(seconds, nanoseconds).UTC()}, err
	case "type":
		for _, plain := range []*types.Type{types.BoolType, types.BytesType, types.DoubleType, types.DurationType,
			types.IntType, types.ListType, types.MapType, types.NullType, types.StringType, types.TimestampType,
			types.TypeType, types.UintType} {
			if plain.TypeName() == text {
				return plain, nil
			}
		}
		return nil, fmt.Errorf("no type is called `%s`", text)
	case "optional":
		inner, ok := v.Value.(Value)
		if !ok {
			return types.OptionalNone, nil
		}
		value, err := inner.ToCEL()
		return types.OptionalOf(value), err
	case "list":
		items := []ref.Val{}
		for _, item := range v.Value.([]Value) {
			value, err := item.ToCEL()
			if err != nil {
				return nil, err
			}
			items = append(items, value)
		}
		return types.NewRefValList(types.DefaultTypeAdapter, items), nil
	case "map":
		entries := map[ref.Val]ref.Val{}
		for _, pair := range v.Value.([][2]Value) {
			key, err := pair[0].ToCEL()
			if err != nil {
				return nil, err
			}
			if entries[key], err = pair[1].ToCEL(); err != nil {
				return nil, err
			}
		}
		return types.NewRefValMap(types.DefaultTypeAdapter, entries), nil
	}
	return nil, fmt.Errorf("no value is of type `%s`", v.Type)
}
