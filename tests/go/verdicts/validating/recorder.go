//go:build recorder

// Package validating is a file that is added to the API server's package of this name: see that of rules.
package validating

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Validate answers as before, and says so.
func (v *validator) Validate(ctx context.Context, resource schema.GroupVersionResource, attr *admission.VersionedAttributes, params runtime.Object, namespace *corev1.Namespace, budget int64, authz authorizer.UnconditionalAuthorizer) ValidateResult {
	result := v.validateUnrecorded(ctx, resource, attr, params, namespace, budget, authz)
	record := map[string]any{
		"failurePolicy":    v.failPolicy,
		"decisions":        result.Decisions,
		"auditAnnotations": result.AuditAnnotations,
	}
	if v.celMatcher != nil {
		matched := v.celMatcher.Match(ctx, attr, params, authz)
		record["matches"] = matched.Matches
		if matched.Error != nil {
			record["conditionError"] = matched.Error.Error()
		}
	}
	request := cel.CreateAdmissionRequest(attr.Attributes, metav1.GroupVersionResource(resource), metav1.GroupVersionKind(attr.VersionedKind))
	inputs := cel.OptionalVariableBindings{VersionedParams: params, Authorizer: authz}
	ask := func(name string, filter cel.ConditionEvaluator, budget int64) int64 {
		found, left, err := filter.ForInput(ctx, attr, request, inputs, namespace, budget)
		if err != nil {
			record["lost"] = "the evaluation as a whole fails: " + err.Error()
		}
		record[name] = matchconditions.Results(found)
		return left
	}
	ask("messages", v.messageFilter, ask("validations", v.validationFilter, budget))
	ask("annotations", v.auditAnnotationFilter, budget)
	rules.Print(record)
	return result
}
