// Oracle says what cel-go makes of expressions, set up as ValidatingAdmissionPolicy sets it up. It reads one
// request a line from standard input, in JSON, and answers each with a line.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"portcullis.dev/tests/go/internal/wire"
)

// scope is what expressions may name.
type scope struct {
	// Declarations are the variables with their types; Objects the object types among them, by name and field.
	Declarations map[string]wire.Type
	Objects      map[string]map[string]wire.Type
	// Documents and Values are what the variables are bound to: documents by their names, or values.
	Documents map[string]string
	Values    map[string]wire.Value
	// Container is the namespace in which names are looked up.
	Container string
	// Kubernetes is the version whose environment it is.
	Kubernetes string
	// Mixed allows literals of several types; it leaves out Kubernetes' libraries unless a version is named.
	Mixed bool
}

// request is an expression in a scope.
type request struct {
	Expression string
	In         string
	// Object is the document that `object` is bound to, if the scope does not say it.
	Object string
	// Unchecked leaves out the type checker.
	Unchecked bool
	// Limit replaces PerCallLimit.
	Limit uint64
	// Repeat is how often it is evaluated, to see whether it is the same each time; or, when timing, how often
	// it is evaluated in a row.
	Repeat int
}

// line is a line of input: a document or a scope, to be remembered by its name, or else a request.
type line struct {
	Document string
	Json     wire.Object
	Scope    string
	Names    scope
	request
}

func main() {
	overloads := flag.Bool("overloads", false, "print what the language has: functions, overloads and macros")
	bench := flag.Bool("bench", false, "compile each expression once, evaluate it many times, and answer with the times")
	flag.Parse()
	if *overloads {
		if err := printOverloads(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	answer := func(request *request) any { return judge(request) }
	if *bench {
		answer = func(request *request) any { return measure(request) }
	}
	if err := serve(answer); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func serve(answer func(*request) any) error {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer out.Flush()
	decoder := json.NewDecoder(in)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for decoder.More() {
		// A new one each time: what earlier requests declared must not shine through.
		var line line
		if err := decoder.Decode(&line); err != nil {
			return err
		}
		if line.Document != "" {
			documents[line.Document] = line.Json.Value
			continue
		}
		if line.Scope != "" {
			env, err := extended(&line.Names)
			if err != nil {
				return fmt.Errorf("scope `%s`: %w", line.Scope, err)
			}
			scopes[line.Scope] = prepared{line.Names, env}
			continue
		}
		if err := encoder.Encode(answer(&line.request)); err != nil {
			return err
		}
	}
	return nil
}
