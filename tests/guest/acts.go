package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Validate does what the object's name says, and else what the policy of sdk/go does.
func Validate(request *Request, settings Settings) (*Verdict, error) {
	say := func(message string) (*Verdict, error) {
		return &Verdict{Violations: []Violation{{Message: message}}}, nil
	}
	switch request.Request.Name {
	case "panic":
		var none map[string]int
		none["key"] = 1
	case "loop":
		for {
		}
	case "nest":
		return nil, fmt.Errorf("%d deep", nest(1))
	case "hoard":
		var kept [][]byte
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	case "fail":
		return nil, errors.New("so it is not to be decided")
	case "exit":
		os.Exit(3)
	case "sleep":
		begin := time.Now()
		time.Sleep(time.Hour)
		return say(fmt.Sprint("slept for ", time.Since(begin)))
	case "tell":
		fmt.Println("a line for the log")
		numbers, order := map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}, []int{}
		for number := range numbers {
			order = append(order, number)
		}
		return say(fmt.Sprint(time.Now().UTC(), len(os.Args), len(os.Environ()), order))
	case "look-up":
		maps := []struct {
			Metadata struct{ Name string }
			Data     map[string]string
		}{}
		if err := request.LookUp("maps", &maps); err != nil {
			return nil, err
		}
		text, err := json.Marshal(maps)
		return &Verdict{Violations: []Violation{{Message: string(text)}}}, err
	case "miss":
		return nil, request.LookUp("others", nil)
	case "large":
		return say(strings.Repeat("x", 300<<10))
	}
	return judgeImages(request, settings)
}

func nest(depth int) int {
	return nest(depth+1) + depth
}
