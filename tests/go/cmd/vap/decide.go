package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	webhookgeneric "k8s.io/apiserver/pkg/admission/plugin/webhook/generic"
	webhookrequest "k8s.io/apiserver/pkg/admission/plugin/webhook/request"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
)

// answer is what became of a case.
type answer struct {
	Allowed bool     `json:"allowed"`
	Code    int32    `json:"code,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	Message string   `json:"message,omitempty"`
	Causes  []string `json:"causes,omitempty"`
	// Warnings are those that the plugin gives, before the response's limits.
	Warnings []string `json:"warnings,omitempty"`
	// Annotations are the audit annotations by their keys.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Review is what a webhook is sent.
	Review *admissionv1.AdmissionReview `json:"review"`
}

// prepared is a case with everything that the API server has built before a request comes, and the request.
type prepared struct {
	plugin     *generic.Plugin[validating.PolicyHook]
	stop       func()
	hooks      []validating.PolicyHook
	namespaces *namespaces
	interfaces *interfaces
	request    *attributes
}

func decide(c *testCase) (*answer, error) {
	p, err := prepare(c)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	result := &answer{Allowed: true}
	ctx := warning.WithWarningRecorder(context.Background(), &recorder{&result.Warnings})
	if err := p.plugin.Dispatch(ctx, p.request, p.interfaces); err != nil {
		result.Allowed = false
		result.refuse(err)
	}
	result.Annotations = p.request.annotations
	result.Review, err = review(c, p)
	return result, err
}

func (a *answer) refuse(err error) {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		a.Message = err.Error()
		return
	}
	a.Code, a.Reason, a.Message = status.ErrStatus.Code, string(status.ErrStatus.Reason), status.ErrStatus.Message
	if status.ErrStatus.Details != nil {
		for _, cause := range status.ErrStatus.Details.Causes {
			a.Causes = append(a.Causes, cause.Message)
		}
	}
}

func prepare(c *testCase) (*prepared, error) {
	known, err := newNamespaces(c.Namespaces)
	if err != nil {
		return nil, err
	}
	hooks, err := hooksOf(c)
	if err != nil {
		return nil, err
	}
	request, err := newAttributes(c)
	if err != nil {
		return nil, err
	}
	objects, err := newInterfaces(c)
	if err != nil {
		return nil, err
	}
	plugin, stop, err := newPlugin(hooks, known)
	if err != nil {
		return nil, err
	}
	return &prepared{plugin, stop, hooks, known, objects, request}, nil
}

// hooksOf puts policies and bindings together, as pkg/admission/plugin/policy/generic/policy_source.go does.
func hooksOf(c *testCase) ([]validating.PolicyHook, error) {
	bindings := map[string][]*admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	for _, text := range c.Bindings {
		binding, err := readBinding(text)
		if err != nil {
			return nil, err
		}
		bindings[binding.Spec.PolicyName] = append(bindings[binding.Spec.PolicyName], binding)
	}
	hooks := []validating.PolicyHook{}
	for _, text := range c.Policies {
		policy, err := readPolicy(text)
		if err != nil {
			return nil, err
		}
		bound := bindings[policy.Name]
		if len(bound) == 0 {
			continue
		}
		hook := validating.PolicyHook{Policy: policy, Bindings: bound, Evaluator: validatorOf(string(text), policy)}
		if param := policy.Spec.ParamKind; param != nil {
			informer, scope, err := informerOf(c, param.APIVersion, param.Kind)
			if err != nil {
				return nil, err
			}
			if informer == nil {
				gvk := schema.FromAPIVersionAndKind(param.APIVersion, param.Kind)
				hook.ConfigurationError = fmt.Errorf("failed to find resource referenced by paramKind: '%v'", gvk)
			} else {
				hook.ParamInformer, hook.ParamScope = informer, scope
			}
		}
		hooks = append(hooks, hook)
	}
	return hooks, nil
}

// attributes is a request that keeps the audit annotations made for it.
type attributes struct {
	admission.Attributes
	annotations map[string]string
}

func newAttributes(c *testCase) (*attributes, error) {
	r := &c.Request
	object, err := readObject(r.Object, c.Untyped)
	if err != nil {
		return nil, err
	}
	old, err := readObject(r.OldObject, c.Untyped)
	if err != nil {
		return nil, err
	}
	options, err := readObject(r.Options, c.Untyped)
	if err != nil {
		return nil, err
	}
	who := &user.DefaultInfo{Name: r.UserInfo.Username, UID: r.UserInfo.UID, Groups: r.UserInfo.Groups}
	for key, values := range r.UserInfo.Extra {
		if who.Extra == nil {
			who.Extra = map[string][]string{}
		}
		who.Extra[key] = values
	}
	inner := admission.NewAttributesRecord(object, old, schema.GroupVersionKind(r.Kind), r.Namespace, r.Name,
		schema.GroupVersionResource(r.Resource), r.SubResource, admission.Operation(r.Operation), options, r.DryRun, who)
	return &attributes{inner, map[string]string{}}, nil
}

// AddAnnotation keeps what the API server would keep.
func (a *attributes) AddAnnotation(key, value string) error {
	if err := a.Attributes.AddAnnotation(key, value); err != nil {
		return err
	}
	a.annotations[key] = value
	return nil
}

// review is what the API server's own client of webhooks sends for the request.
func review(c *testCase, p *prepared) (*admissionv1.AdmissionReview, error) {
	kind, resource := p.request.GetKind(), p.request.GetResource()
	if c.Webhook != nil {
		group, err := schema.ParseGroupVersion(c.Webhook.APIVersion)
		if err != nil {
			return nil, err
		}
		kind, resource = group.WithKind(c.Webhook.Kind), group.WithResource(c.Webhook.Resource)
	}
	versioned, err := admission.NewVersionedAttributes(p.request, kind, p.interfaces)
	if err != nil {
		return nil, err
	}
	invocation := &webhookgeneric.WebhookInvocation{Resource: resource, Subresource: c.Request.SubResource, Kind: kind}
	made := webhookrequest.CreateV1AdmissionReview("0", versioned, invocation)
	made.APIVersion, made.Kind = "admission.k8s.io/v1", "AdmissionReview"
	// Its objects are of this case alone; encoding them here shows what cannot be encoded.
	if _, err := json.Marshal(made); err != nil {
		return nil, err
	}
	return made, nil
}

type recorder struct{ warnings *[]string }

func (r *recorder) AddWarning(_, text string) { *r.warnings = append(*r.warnings, text) }
