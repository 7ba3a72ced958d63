//go:build recorder

// Package matchconditions is a file that is added to the API server's package of this name: see that of rules.
package matchconditions

import (
	"context"

	celtypes "github.com/google/cel-go/common/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	celplugin "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Results are what expressions gave: a value of JSON, the type of another, or an error.
func Results(found []celplugin.EvaluationResult) []map[string]any {
	results := []map[string]any{}
	for _, evaluation := range found {
		result := map[string]any{}
		switch value := evaluation.EvalResult.(type) {
		case celtypes.Bool:
			result["value"] = bool(value)
		case celtypes.String:
			result["value"] = string(value)
		case nil, celtypes.Null:
			result["value"] = nil
		default:
			result["type"] = value.Type().TypeName()
		}
		if evaluation.Error != nil {
			result["error"] = evaluation.Error.Error()
		}
		if condition, ok := evaluation.ExpressionAccessor.(*MatchCondition); ok {
			result["name"] = condition.Name
		} else if evaluation.ExpressionAccessor != nil {
			result["written"] = evaluation.ExpressionAccessor
		}
		results = append(results, result)
	}
	return results
}

// Match answers as before, and says so.
func (m *matcher) Match(ctx context.Context, attr *admission.VersionedAttributes, params runtime.Object, authz authorizer.UnconditionalAuthorizer) MatchResult {
	result := m.matchUnrecorded(ctx, attr, params, authz)
	request := celplugin.CreateAdmissionRequest(attr.Attributes, metav1.GroupVersionResource(attr.GetResource()), metav1.GroupVersionKind(attr.VersionedKind))
	inputs := celplugin.OptionalVariableBindings{VersionedParams: params, Authorizer: authz}
	found, _, err := m.filter.ForInput(ctx, attr, request, inputs, nil, celconfig.RuntimeCELCostBudgetMatchConditions)
	record := map[string]any{
		"failurePolicy": m.failPolicy,
		"conditions":    Results(found),
		"matches":       result.Matches,
		"failed":        result.FailedConditionName,
	}
	if result.Error != nil {
		record["error"] = result.Error.Error()
	}
	if err != nil {
		record["lost"] = "the evaluation as a whole fails: " + err.Error()
	}
	rules.Print(record)
	return result
}
