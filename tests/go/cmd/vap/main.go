// Vap says what the API server's own ValidatingAdmissionPolicy plugin makes of admission requests: its compiler,
// matcher, validator and dispatcher, unmodified. It reads one case a line from standard input, in JSON, and answers
// each with a line. With each answer goes the AdmissionReview that the API server would have sent to a webhook.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"k8s.io/klog/v2"
)

func main() {
	bench := flag.Bool("bench", false, "decide each case many times, and answer with how long it takes")
	flag.Parse()
	// Failing policies are the point here; they need not be logged too.
	klog.LogToStderr(false)
	klog.SetOutput(discard{})
	answer := func(c *testCase) (any, error) { return decide(c) }
	if *bench {
		answer = func(c *testCase) (any, error) { return measure(c) }
	}
	if err := serve(answer); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func serve(answer func(*testCase) (any, error)) error {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer out.Flush()
	decoder := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for number := 1; decoder.More(); number++ {
		var c testCase
		if err := decoder.Decode(&c); err != nil {
			return fmt.Errorf("case %d: %w", number, err)
		}
		answered, err := answer(&c)
		if err != nil {
			// Such as an object that its Go type does not take.
			answered = map[string]string{"broken": err.Error()}
		}
		if err := encoder.Encode(answered); err != nil {
			return err
		}
	}
	return nil
}
