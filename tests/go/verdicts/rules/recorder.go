//go:build recorder

// Package rules is a file that is added to the API server's package of this name: it prints what each rule is
// asked, and what it answers. `cargo xtask tables` puts it there, and gives the function that answers another name.
package rules

import (
	"encoding/json"
	"fmt"

	v1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

// Asked is what a matcher was asked, and what it answered.
type Asked struct {
	Constraints any    `json:"constraints"`
	Request     any    `json:"request"`
	Namespaces  []any  `json:"namespaces,omitempty"`
	Matches     bool   `json:"matches"`
	Resource    any    `json:"resource,omitempty"`
	Kind        any    `json:"kind,omitempty"`
	Error       string `json:"error,omitempty"`
}

// Request is a request as an AdmissionReview has it.
func Request(attr admission.Attributes) any {
	return map[string]any{
		"kind":        metav1.GroupVersionKind(attr.GetKind()),
		"resource":    metav1.GroupVersionResource(attr.GetResource()),
		"subResource": attr.GetSubresource(),
		"name":        attr.GetName(),
		"namespace":   attr.GetNamespace(),
		"operation":   attr.GetOperation(),
		"object":      attr.GetObject(),
		"oldObject":   attr.GetOldObject(),
	}
}

// Print prints a record.
func Print(record any) {
	text, err := json.Marshal(record)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"lost": err.Error()})
	}
	fmt.Printf("\njudged: %s\n", text)
}

// Each part of a rule answers as before, and says so: what a rule is that says nothing else.

func (r *Matcher) scope() bool {
	return r.recorded(r.scopeUnrecorded(), func(rule *v1.RuleWithOperations) { rule.Scope = r.Rule.Scope })
}

func (r *Matcher) group() bool {
	return r.recorded(r.groupUnrecorded(), func(rule *v1.RuleWithOperations) { rule.APIGroups = r.Rule.APIGroups })
}

func (r *Matcher) version() bool {
	return r.recorded(r.versionUnrecorded(), func(rule *v1.RuleWithOperations) { rule.APIVersions = r.Rule.APIVersions })
}

func (r *Matcher) operation() bool {
	return r.recorded(r.operationUnrecorded(), func(rule *v1.RuleWithOperations) { rule.Operations = r.Rule.Operations })
}

func (r *Matcher) resource() bool {
	return r.recorded(r.resourceUnrecorded(), func(rule *v1.RuleWithOperations) { rule.Resources = r.Rule.Resources })
}

func (r *Matcher) recorded(matches bool, say func(*v1.RuleWithOperations)) bool {
	all := []string{"*"}
	rule := v1.RuleWithOperations{
		Operations: []v1.OperationType{"*"},
		Rule:       v1.Rule{APIGroups: all, APIVersions: all, Resources: []string{"*/*"}},
	}
	say(&rule)
	exact := v1.Exact
	constraints := v1.MatchResources{
		MatchPolicy:       &exact,
		NamespaceSelector: &metav1.LabelSelector{},
		ObjectSelector:    &metav1.LabelSelector{},
		ResourceRules:     []v1.NamedRuleWithOperations{{RuleWithOperations: rule}},
	}
	Print(Asked{Constraints: constraints, Request: Request(r.Attr), Matches: matches})
	return matches
}
