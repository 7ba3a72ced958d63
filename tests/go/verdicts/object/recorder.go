//go:build recorder

// Package object is a file that is added to the API server's package of this name: see that of rules.
package object

import (
	v1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
)

// MatchObjectSelector answers as before, and says so.
func (m *Matcher) MatchObjectSelector(p ObjectSelectorProvider, attr admission.Attributes) (bool, *apierrors.StatusError) {
	matches, err := m.matchObjectSelectorUnrecorded(p, attr)
	selector, unreadable := p.GetParsedObjectSelector()
	// A selector that matches nothing cannot be written.
	if err != nil || unreadable != nil || selector.String() == "" && !selector.Empty() {
		return matches, err
	}
	written, unreadable := metav1.ParseToLabelSelector(selector.String())
	if unreadable != nil {
		return matches, err
	}
	all := []string{"*"}
	constraints := v1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{},
		ObjectSelector:    written,
		ResourceRules: []v1.NamedRuleWithOperations{{RuleWithOperations: v1.RuleWithOperations{
			Operations: []v1.OperationType{"*"},
			Rule:       v1.Rule{APIGroups: all, APIVersions: all, Resources: []string{"*/*"}},
		}}},
	}
	rules.Print(rules.Asked{Constraints: constraints, Request: rules.Request(attr), Matches: matches})
	return matches, err
}
