//go:build recorder

// Package matching is a file that is added to the API server's package of this name: see that of rules.
package matching

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
)

// Matches answers as before, and says so.
func (m *Matcher) Matches(attr admission.Attributes, o admission.ObjectInterfaces, criteria MatchCriteria) (bool, schema.GroupVersionResource, schema.GroupVersionKind, error) {
	matches, resource, kind, err := m.matchesUnrecorded(attr, o, criteria)
	asked := rules.Asked{Constraints: criteria.GetMatchResources(), Request: rules.Request(attr), Matches: matches}
	if matches {
		asked.Resource, asked.Kind = metav1.GroupVersionResource(resource), metav1.GroupVersionKind(kind)
	}
	if err != nil {
		asked.Error = err.Error()
	}
	if lister := m.namespaceMatcher.NamespaceLister; lister != nil && attr.GetNamespace() != "" {
		if namespace, err := lister.Get(attr.GetNamespace()); err == nil {
			asked.Namespaces = append(asked.Namespaces, namespace)
		}
	}
	rules.Print(asked)
	return matches, resource, kind, err
}
