package main

import (
	"encoding/json"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testCase is a request with everything that it is decided by.
type testCase struct {
	// Policies and Bindings in the order in which they are evaluated; the API server's own order is random.
	Policies []json.RawMessage
	Bindings []json.RawMessage
	// Kinds are the kinds that params may have: the API server learns them by discovery.
	Kinds []kind
	// Params are the objects of those kinds, in the order in which they are listed.
	Params     []json.RawMessage
	Namespaces []json.RawMessage
	// Equivalent are resources that serve the same objects as the request's.
	Equivalent []kind
	// Webhook is what a webhook's rules ask for, where that is not what was requested.
	Webhook *kind
	Request request
	// Untyped keeps built-in kinds as they were written; the API server decodes them into Go types.
	Untyped bool
	// Repeat is how often it is decided in a row, when timing.
	Repeat int
}

// kind names a resource and its objects.
type kind struct {
	APIVersion string
	Kind       string
	Resource   string
	Namespaced bool
}

// request is an AdmissionRequest whose objects are not decoded yet.
type request struct {
	Kind        metav1.GroupVersionKind
	Resource    metav1.GroupVersionResource
	SubResource string
	Name        string
	Namespace   string
	Operation   string
	UserInfo    authenticationv1.UserInfo
	Object      json.RawMessage
	OldObject   json.RawMessage
	DryRun      bool
	Options     json.RawMessage
}

// readPolicy reads a policy and fills in what the API server fills in (pkg/apis/admissionregistration/v1/defaults.go
// of k8s.io/kubernetes).
func readPolicy(text json.RawMessage) (*admissionregistrationv1.ValidatingAdmissionPolicy, error) {
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
	if err := json.Unmarshal(text, policy); err != nil {
		return nil, err
	}
	if policy.Spec.FailurePolicy == nil {
		fail := admissionregistrationv1.Fail
		policy.Spec.FailurePolicy = &fail
	}
	setDefaults(policy.Spec.MatchConstraints)
	return policy, nil
}

func readBinding(text json.RawMessage) (*admissionregistrationv1.ValidatingAdmissionPolicyBinding, error) {
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := json.Unmarshal(text, binding); err != nil {
		return nil, err
	}
	setDefaults(binding.Spec.MatchResources)
	return binding, nil
}

func setDefaults(match *admissionregistrationv1.MatchResources) {
	if match == nil {
		return
	}
	if match.MatchPolicy == nil {
		equivalent := admissionregistrationv1.Equivalent
		match.MatchPolicy = &equivalent
	}
	if match.NamespaceSelector == nil {
		match.NamespaceSelector = &metav1.LabelSelector{}
	}
	if match.ObjectSelector == nil {
		match.ObjectSelector = &metav1.LabelSelector{}
	}
	for _, rules := range [][]admissionregistrationv1.NamedRuleWithOperations{
		match.ResourceRules, match.ExcludeResourceRules,
	} {
		for i := range rules {
			if rules[i].Scope == nil {
				all := admissionregistrationv1.AllScopes
				rules[i].Scope = &all
			}
		}
	}
}
