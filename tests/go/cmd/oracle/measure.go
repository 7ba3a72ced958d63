package main

import (
	"context"
	"slices"
	"time"
)

// timing is how long an expression takes, in nanoseconds.
type timing struct {
	Broken   string `json:"broken,omitempty"`
	Compile  int64  `json:"compile"`
	Evaluate int64  `json:"evaluate"`
}

// rounds is how often a measurement is repeated; the median of them is reported.
const rounds = 9

func measure(request *request) *timing {
	result := &timing{}
	compiles, evaluations := []int64{}, []int64{}
	repeat := int64(max(request.Repeat, 1))
	vars, err := activation(request)
	if err != nil {
		result.Broken = err.Error()
		return result
	}
	for range rounds {
		start := time.Now()
		program, refused := compile(request)
		compiles = append(compiles, time.Since(start).Nanoseconds())
		if program == nil {
			result.Broken = refused.Broken + refused.Program
			if len(refused.Issues) > 0 {
				result.Broken += refused.Issues[0].Message
			}
			return result
		}
		start = time.Now()
		for range repeat {
			if _, _, err := program.ContextEval(context.Background(), vars); err != nil {
				result.Broken = err.Error()
				return result
			}
		}
		evaluations = append(evaluations, time.Since(start).Nanoseconds()/repeat)
	}
	result.Compile, result.Evaluate = median(compiles), median(evaluations)
	return result
}

func median(times []int64) int64 {
	slices.Sort(times)
	return times[len(times)/2]
}
