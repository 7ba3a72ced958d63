package main

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes/scheme"
)

// options are what accompanies a request; they are of a group that client-go's scheme registers for every version.
var options = map[string]func() runtime.Object{
	"CreateOptions": func() runtime.Object { return &metav1.CreateOptions{} },
	"UpdateOptions": func() runtime.Object { return &metav1.UpdateOptions{} },
	"PatchOptions":  func() runtime.Object { return &metav1.PatchOptions{} },
	"DeleteOptions": func() runtime.Object { return &metav1.DeleteOptions{} },
}

// readObject decodes an object: built-in kinds into their Go types, others as they are. Without text there is none.
func readObject(text json.RawMessage, untyped bool) (runtime.Object, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	content := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &content); err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{Object: content}
	gvk := object.GroupVersionKind()
	made := options[gvk.Kind]
	switch {
	case gvk.Group == "meta.k8s.io" && made != nil:
		return decode(text, made(), gvk)
	case untyped || !scheme.Scheme.Recognizes(gvk):
		return object, nil
	}
	typed, err := scheme.Scheme.New(gvk)
	if err != nil {
		return nil, err
	}
	return decode(text, typed, gvk)
}

func decode(text json.RawMessage, into runtime.Object, gvk schema.GroupVersionKind) (runtime.Object, error) {
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, into); err != nil {
		return nil, fmt.Errorf("%s: %w", gvk, err)
	}
	into.GetObjectKind().SetGroupVersionKind(gvk)
	return into, nil
}

// interfaces is what the matcher asks about a request's resource: equivalent ones, whose objects differ in nothing
// but their apiVersion, as with custom resources that are converted by the strategy None.
type interfaces struct {
	admission.ObjectInterfaces
	mapper runtime.EquivalentResourceMapper
}

func newInterfaces(c *testCase) (*interfaces, error) {
	registry := runtime.NewEquivalentResourceRegistryWithIdentity(func(schema.GroupResource) string { return "same" })
	resource := schema.GroupVersionResource(c.Request.Resource)
	registry.RegisterKindFor(resource, c.Request.SubResource, schema.GroupVersionKind(c.Request.Kind))
	for _, other := range c.Equivalent {
		group, err := schema.ParseGroupVersion(other.APIVersion)
		if err != nil {
			return nil, err
		}
		registry.RegisterKindFor(group.WithResource(other.Resource), c.Request.SubResource, group.WithKind(other.Kind))
	}
	return &interfaces{admission.NewObjectInterfacesFromScheme(scheme.Scheme), registry}, nil
}

func (i *interfaces) GetEquivalentResourceMapper() runtime.EquivalentResourceMapper { return i.mapper }
func (i *interfaces) GetObjectCreater() runtime.ObjectCreater                       { return i }
func (i *interfaces) GetObjectConvertor() runtime.ObjectConvertor                   { return i }

// New makes an empty object to convert into.
func (i *interfaces) New(schema.GroupVersionKind) (runtime.Object, error) {
	return &unstructured.Unstructured{}, nil
}

// Convert copies; the caller sets the kind.
func (i *interfaces) Convert(in, out, _ any) error {
	from, ok := in.(*unstructured.Unstructured)
	to, known := out.(*unstructured.Unstructured)
	if !ok || !known {
		return fmt.Errorf("cannot convert %T to %T", in, out)
	}
	to.Object = from.DeepCopy().Object
	return nil
}

func (i *interfaces) ConvertToVersion(runtime.Object, runtime.GroupVersioner) (runtime.Object, error) {
	return nil, fmt.Errorf("not supported")
}

func (i *interfaces) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
