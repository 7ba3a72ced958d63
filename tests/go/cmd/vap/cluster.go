package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	listersv1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// namespaces is the lister and the client of a cluster that has these Namespaces.
type namespaces struct {
	listersv1.NamespaceLister
	kubernetes.Interface
	typedcorev1.CoreV1Interface
	typedcorev1.NamespaceInterface
	known map[string]*corev1.Namespace
}

func newNamespaces(texts []json.RawMessage) (*namespaces, error) {
	known := map[string]*corev1.Namespace{}
	for _, text := range texts {
		namespace := &corev1.Namespace{}
		if err := json.Unmarshal(text, namespace); err != nil {
			return nil, err
		}
		known[namespace.Name] = namespace
	}
	return &namespaces{known: known}, nil
}

func (n *namespaces) lookUp(name string) (*corev1.Namespace, error) {
	if namespace, ok := n.known[name]; ok {
		return namespace, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
}

// lister is the part of it that the matcher asks first.
type lister struct {
	listersv1.NamespaceLister
	*namespaces
}

func (l lister) Get(name string) (*corev1.Namespace, error) { return l.lookUp(name) }
func (l lister) List(labels.Selector) ([]*corev1.Namespace, error) {
	return nil, fmt.Errorf("not supported")
}

// client is the part of it that the matcher asks where the lister knows nothing.
type client struct {
	kubernetes.Interface
	*namespaces
}

func (c client) CoreV1() typedcorev1.CoreV1Interface { return coreClient{namespaces: c.namespaces} }

type coreClient struct {
	typedcorev1.CoreV1Interface
	*namespaces
}

func (c coreClient) Namespaces() typedcorev1.NamespaceInterface {
	return namespaceClient{namespaces: c.namespaces}
}

type namespaceClient struct {
	typedcorev1.NamespaceInterface
	*namespaces
}

func (c namespaceClient) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Namespace, error) {
	return c.lookUp(name)
}

// paramInformer has the params of one kind, and lists them in the order in which they came.
type paramInformer struct {
	resource schema.GroupResource
	objects  []runtime.Object
}

var _ informers.GenericInformer = &paramInformer{}

func (p *paramInformer) Informer() cache.SharedIndexInformer { return synced{} }
func (p *paramInformer) Lister() cache.GenericLister         { return paramLister{p, nil} }

type synced struct{ cache.SharedIndexInformer }

func (synced) HasSynced() bool { return true }

type paramLister struct {
	*paramInformer
	namespace *string
}

func (p paramLister) ByNamespace(namespace string) cache.GenericNamespaceLister {
	return paramLister{p.paramInformer, &namespace}
}

func (p paramLister) List(selector labels.Selector) ([]runtime.Object, error) {
	found := []runtime.Object{}
	for _, object := range p.objects {
		accessor, err := meta.Accessor(object)
		if err != nil {
			return nil, err
		}
		if p.namespace != nil && accessor.GetNamespace() != *p.namespace {
			continue
		}
		if selector.Matches(labels.Set(accessor.GetLabels())) {
			found = append(found, object)
		}
	}
	return found, nil
}

func (p paramLister) Get(name string) (runtime.Object, error) {
	all, err := p.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	for _, object := range all {
		accessor, err := meta.Accessor(object)
		if err == nil && accessor.GetName() == name {
			return object, nil
		}
	}
	return nil, apierrors.NewNotFound(p.resource, name)
}

// informerOf finds the params of a kind, with its scope; there is none of a kind that the cluster does not serve.
func informerOf(c *testCase, apiVersion, wanted string) (informers.GenericInformer, meta.RESTScope, error) {
	for _, kind := range c.Kinds {
		if kind.APIVersion != apiVersion || kind.Kind != wanted {
			continue
		}
		informer := &paramInformer{resource: schema.GroupResource{Resource: kind.Resource}}
		for _, text := range c.Params {
			object, err := readObject(text, c.Untyped)
			if err != nil {
				return nil, nil, err
			}
			gvk := object.GetObjectKind().GroupVersionKind()
			if gvk.GroupVersion().String() != apiVersion || gvk.Kind != wanted {
				continue
			}
			if !c.Untyped {
				// Informers of built-in kinds leave it empty.
				forgetKind(object)
			}
			informer.objects = append(informer.objects, object)
		}
		scope := meta.RESTScopeRoot
		if kind.Namespaced {
			scope = meta.RESTScopeNamespace
		}
		return informer, scope, nil
	}
	return nil, nil, nil
}

func forgetKind(object runtime.Object) {
	if _, isUnstructured := object.(runtime.Unstructured); !isUnstructured {
		object.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
}

// lots is an authorizer that draws its answers from a hash of the question, as our side does.
type lots struct{}

func (lots) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	hash := fnv.New32a()
	fmt.Fprint(hash, question(a))
	switch hash.Sum32() % 5 {
	case 0, 1:
		return authorizer.DecisionAllow, "by lot", nil
	case 2:
		return authorizer.DecisionDeny, "by lot", nil
	case 3:
		return authorizer.DecisionNoOpinion, "no lot", errors.New("no lot is left")
	default:
		return authorizer.DecisionNoOpinion, "", nil
	}
}

// question is what is asked, in one line: `user verb group/resource/subresource namespace/name`, or `user verb /path`;
// selectors follow.
func question(a authorizer.Attributes) string {
	if !a.IsResourceRequest() {
		return fmt.Sprintf("%s %s %s", a.GetUser().GetName(), a.GetVerb(), a.GetPath())
	}
	resource := strings.Join([]string{a.GetAPIGroup(), a.GetResource(), a.GetSubresource()}, "/")
	line := fmt.Sprintf("%s %s %s %s/%s", a.GetUser().GetName(), a.GetVerb(), resource, a.GetNamespace(), a.GetName())
	if fields, err := a.GetFieldSelector(); err == nil {
		for _, field := range fields {
			line += fmt.Sprintf(" %s%s%s", field.Field, field.Operator, field.Value)
		}
	}
	if selected, err := a.GetLabelSelector(); err == nil && len(selected) > 0 {
		line += " " + labels.NewSelector().Add(selected...).String()
	}
	return line
}
