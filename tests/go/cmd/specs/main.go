// Specs prints the simple tests of cel-spec as JSON, one test a line. The tests come from the Go module
// cel.dev/expr, whose folder is the argument.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	exprpb "cel.dev/expr"
	testpb "cel.dev/expr/conformance/test"
	"github.com/google/cel-go/cel"
	"google.golang.org/protobuf/encoding/prototext"

	// The files name messages of these packages.
	_ "cel.dev/expr/conformance/proto2"
	_ "cel.dev/expr/conformance/proto3"

	"portcullis.dev/tests/go/internal/wire"
)

// spec is one test.
type spec struct {
	File    string `json:"file"`
	Section string `json:"section"`
	Name    string `json:"name"`
	// Messages names what the test needs of protobuf, and so cannot be run without; the rest is then absent.
	Messages     string                `json:"messages,omitempty"`
	Expression   string                `json:"expression"`
	Container    string                `json:"container,omitempty"`
	Macros       bool                  `json:"macros"`
	Unchecked    bool                  `json:"unchecked"`
	CheckOnly    bool                  `json:"checkOnly"`
	Declarations map[string]wire.Type  `json:"declarations,omitempty"`
	Values       map[string]wire.Value `json:"values,omitempty"`
	// Expected is what it evaluates to, Type the checked type; without the former it must fail.
	Expected *wire.Value `json:"expected,omitempty"`
	Type     string      `json:"type,omitempty"`
	// Other says what is expected where it is neither a value nor an error.
	Other string `json:"other,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: specs <folder of the module cel.dev/expr>")
	}
	files, err := filepath.Glob(filepath.Join(os.Args[1], "tests/simple/testdata/*.textproto"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("there are no tests in `%s`", os.Args[1])
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file testpb.SimpleTestFile
		if err := prototext.Unmarshal(text, &file); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, section := range file.GetSection() {
			for _, test := range section.GetTest() {
				read := readTest(test)
				read.File = strings.TrimSuffix(filepath.Base(path), ".textproto")
				read.Section = section.GetName()
				if err := out.Encode(read); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func readTest(test *testpb.SimpleTest) *spec {
	read := &spec{
		Name:         test.GetName(),
		Expression:   test.GetExpr(),
		Container:    test.GetContainer(),
		Macros:       !test.GetDisableMacros(),
		Unchecked:    test.GetDisableCheck(),
		CheckOnly:    test.GetCheckOnly(),
		Declarations: map[string]wire.Type{},
		Values:       map[string]wire.Value{},
	}
	read.Messages = usedMessages(test.GetExpr())
	for _, declared := range test.GetTypeEnv() {
		if declared.GetFunction() != nil {
			read.Other = "it declares functions"
			continue
		}
		found, err := readType(declared.GetIdent().GetType())
		if err != nil {
			read.Messages = err.Error()
			continue
		}
		read.Declarations[declared.GetName()] = found
	}
	for name, bound := range test.GetBindings() {
		value, err := readValue(bound.GetValue())
		if err != nil {
			read.Messages = err.Error()
			continue
		}
		read.Values[name] = value
	}
	if err := readExpected(test, read); err != nil {
		read.Messages = err.Error()
	}
	if read.Messages != "" {
		read.Declarations, read.Values, read.Expected = nil, nil, nil
	}
	return read
}

func readExpected(test *testpb.SimpleTest, read *spec) error {
	var expected *exprpb.Value
	switch matcher := test.GetResultMatcher().(type) {
	case *testpb.SimpleTest_Value:
		expected = matcher.Value
	case *testpb.SimpleTest_TypedResult:
		expected = matcher.TypedResult.GetResult()
		deduced, err := readType(matcher.TypedResult.GetDeducedType())
		if err != nil {
			return err
		}
		read.Type = cel.FormatCELType(deduced.Type)
		if read.CheckOnly {
			return nil
		}
	case *testpb.SimpleTest_EvalError, *testpb.SimpleTest_AnyEvalErrors:
		return nil
	case *testpb.SimpleTest_Unknown, *testpb.SimpleTest_AnyUnknowns:
		read.Other = "it expects unknowns"
		return nil
	default:
		// The format's default.
		expected = &exprpb.Value{Kind: &exprpb.Value_BoolValue{BoolValue: true}}
	}
	value, err := readValue(expected)
	read.Expected = &value
	return err
}
