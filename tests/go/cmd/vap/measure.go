package main

import (
	"context"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/admission"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// rounds are what medians are taken over.
const rounds = 9

// timing is how long a case takes, in nanoseconds, and what becomes of it.
type timing struct {
	// Dispatch is all that the plugin does for a request: matching, params, validations.
	Dispatch float64 `json:"dispatch"`
	// Validate is the validations alone, of every policy, with objects that no earlier one has read.
	Validate float64 `json:"validate"`
	Answer   *answer `json:"answer"`
}

func measure(c *testCase) (*timing, error) {
	decided, err := decide(c)
	if err != nil {
		return nil, err
	}
	p, err := prepare(c)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	ctx := context.Background()
	dispatch, err := median(c.Repeat, func() error {
		// A denial is an answer like any other; decide has told which it is.
		_ = p.plugin.Dispatch(ctx, p.request, p.interfaces)
		return nil
	})
	if err != nil {
		return nil, err
	}
	validate, err := median(c.Repeat, func() error { return validateAll(ctx, p) })
	if err != nil {
		return nil, err
	}
	return &timing{dispatch, validate, decided}, nil
}

// validateAll does what the dispatcher does with policies that match and have no params.
func validateAll(ctx context.Context, p *prepared) error {
	versioned, err := admission.NewVersionedAttributes(p.request, p.request.GetKind(), p.interfaces)
	if err != nil {
		return err
	}
	namespace, err := p.namespaces.lookUp(p.request.GetNamespace())
	if err != nil {
		return err
	}
	for _, hook := range p.hooks {
		for range hook.Bindings {
			hook.Evaluator.Validate(ctx, p.request.GetResource(), versioned, nil, namespace,
				celconfig.RuntimeCELCostBudget, lots{})
		}
	}
	return nil
}

// median is the median over some rounds of the nanoseconds for one call of what is called so often.
func median(repeat int, call func() error) (float64, error) {
	times := []float64{}
	for range rounds {
		start := time.Now()
		for range repeat {
			if err := call(); err != nil {
				return 0, err
			}
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/float64(repeat))
	}
	slices.Sort(times)
	return times[rounds/2], nil
}
