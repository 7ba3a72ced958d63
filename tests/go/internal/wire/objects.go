package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
)

// Object is a JSON document as the API server hands it to CEL: whole numbers are int64, others float64.
type Object struct{ Value any }

// UnmarshalJSON reads any JSON value.
func (o *Object) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil && err != io.EOF {
		return err
	}
	o.Value = plain(value)
	return nil
}

func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if whole, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return whole
		}
		number, _ := v.Float64()
		return number
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	}
	return value
}
