package main

import (
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"

	// For linkname.
	_ "unsafe"
)

// compilePolicy is what the plugin compiles policies with; it is not exported. An empty assembler file beside this
// one lets a function without a body be declared.
//
//go:linkname compilePolicy k8s.io/apiserver/pkg/admission/plugin/policy/validating.compilePolicy
func compilePolicy(policy *admissionregistrationv1.ValidatingAdmissionPolicy) validating.Validator

// compiled are the policies that earlier cases had, by their text: compiling takes longer than deciding.
var compiled sync.Map

func validatorOf(text string, policy *admissionregistrationv1.ValidatingAdmissionPolicy) validating.Validator {
	if known, ok := compiled.Load(text); ok {
		return known.(validating.Validator)
	}
	made := compilePolicy(policy)
	compiled.Store(text, made)
	return made
}
