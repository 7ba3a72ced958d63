// approved-registries: images come from registries that are approved.
//
// What is yours is in this file; portcullis.go and portcullis_wasip1.go keep the contract with the controller, whatever
// the policy (../ABI.md), and need not be touched.
package main

import (
	"fmt"
	"strings"
)

// Settings are what can be set under `wasm.settings` in policy.yaml.
type Settings struct {
	// Registries are hosts, or hosts with a path: `registry.example.com/team`.
	Registries []string `json:"registries"`
}

// Validate says what is wrong with settings although their types are right.
func (settings Settings) Validate() []SettingsError {
	errors := []SettingsError{}
	if len(settings.Registries) == 0 {
		errors = append(errors, SettingsError{Path: "registries", Message: "must name a registry"})
	}
	for index, registry := range settings.Registries {
		if registry == "" || strings.HasSuffix(registry, "/") || strings.Contains(registry, "://") {
			path := fmt.Sprintf("registries[%d]", index)
			errors = append(errors, SettingsError{Path: path, Message: "must be a host, or a host and a path"})
		}
	}
	return errors
}

// Validate judges a request.
func Validate(request *Request, settings Settings) (*Verdict, error) {
	verdict := &Verdict{}
	images, err := request.Images()
	if err != nil {
		return nil, err
	}
	for _, image := range images {
		if !settings.approve(image.Reference) {
			verdict.Violations = append(verdict.Violations, Violation{
				Message:   fmt.Sprintf("image `%s` is of no approved registry", image.Reference),
				FieldPath: image.Path,
				Remedy:    "use one of " + strings.Join(settings.Registries, ", "),
			})
		}
	}
	return verdict, nil
}

func (settings Settings) approve(reference string) bool {
	host, rest, found := strings.Cut(reference, "/")
	// As container runtimes have it: what looks like no host is a path on Docker Hub.
	if !found {
		host, rest = "docker.io", "library/"+reference
	} else if !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, rest = "docker.io", reference
	}
	for _, registry := range settings.Registries {
		if strings.HasPrefix(host+"/"+rest, registry+"/") {
			return true
		}
	}
	return false
}
