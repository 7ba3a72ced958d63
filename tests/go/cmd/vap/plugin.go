package main

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// excluded are the resources that kube-apiserver keeps from all policies
// (pkg/kubeapiserver/admission/exclusion/resources.go of k8s.io/kubernetes).
var excluded = []schema.GroupResource{
	{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"},
	{Group: "authentication.k8s.io", Resource: "tokenreviews"},
	{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"},
	{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"},
	{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"},
	{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
}

// newPlugin is the plugin around the dispatcher, with policies that are there from the beginning.
func newPlugin(hooks []validating.PolicyHook, known *namespaces) (*generic.Plugin[validating.PolicyHook], func(), error) {
	handler := admission.NewHandler(admission.Connect, admission.Create, admission.Delete, admission.Update)
	api := client{namespaces: known}
	factory := informers.NewSharedInformerFactory(api, 0)
	plugin := generic.NewPlugin(
		handler,
		func(informers.SharedInformerFactory, kubernetes.Interface, dynamic.Interface, meta.RESTMapper) generic.Source[validating.PolicyHook] {
			return policies(hooks)
		},
		func(a authorizer.UnconditionalAuthorizer, m *matching.Matcher, _ kubernetes.Interface) generic.Dispatcher[validating.PolicyHook] {
			return validating.NewDispatcher(a, generic.NewPolicyMatcher(m))
		},
	)
	stop := make(chan struct{})
	plugin.SetMatcher(matching.NewMatcher(lister{namespaces: known}, api))
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetExternalKubeClientSet(api)
	plugin.SetRESTMapper(meta.MultiRESTMapper{})
	plugin.SetDynamicClient(struct{ dynamic.Interface }{})
	plugin.SetDrainedNotification(stop)
	plugin.SetUnconditionalAuthorizer(lots{})
	plugin.SetExcludedAdmissionResources(excluded)
	plugin.SetEnabled(true)
	if err := plugin.ValidateInitialization(); err != nil {
		return nil, nil, err
	}
	// It waits for an informer of Namespaces that nobody starts.
	plugin.SetReadyFunc(func() bool { return true })
	return plugin, func() { close(stop) }, nil
}

// policies are a source that never changes.
type policies []validating.PolicyHook

func (p policies) Hooks() []validating.PolicyHook { return p }
func (p policies) Run(context.Context) error      { return nil }
func (p policies) HasSynced() bool                { return true }
