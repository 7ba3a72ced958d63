package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Request is what is judged: an AdmissionRequest, of which there is what the policy names in `wasm.reads`.
type Request struct {
	Policy  string          `json:"policy"`
	Params  json.RawMessage `json:"params"`
	Request struct {
		Kind        Kind            `json:"kind"`
		Name        string          `json:"name"`
		Namespace   string          `json:"namespace"`
		Operation   string          `json:"operation"`
		SubResource string          `json:"subResource"`
		Object      json.RawMessage `json:"object"`
		OldObject   json.RawMessage `json:"oldObject"`
		UserInfo    struct {
			Username string   `json:"username"`
			Groups   []string `json:"groups"`
		} `json:"userInfo"`
	} `json:"request"`
	lookUp func(name string) []byte
}

// Kind is what sort of object something is.
type Kind struct {
	Group, Version, Kind string
}

// Violation is something that is wrong with a request.
type Violation struct {
	Message   string `json:"message"`
	FieldPath string `json:"fieldPath,omitempty"`
	Remedy    string `json:"remedy,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// Verdict is what comes of a request, which is allowed if there are no violations.
type Verdict struct {
	Violations       []Violation       `json:"violations"`
	Warnings         []string          `json:"warnings,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
}

// SettingsError is something that is wrong with settings, at a path below them.
type SettingsError struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Image is an image that a Pod names, and where.
type Image struct {
	Reference, Path string
}

type container struct {
	Image string `json:"image"`
}

type podSpec struct {
	Containers          []container `json:"containers"`
	InitContainers      []container `json:"initContainers"`
	EphemeralContainers []container `json:"ephemeralContainers"`
	Volumes             []struct {
		Image *struct {
			Reference string `json:"reference"`
		} `json:"image"`
	} `json:"volumes"`
}

type template struct {
	Spec podSpec `json:"spec"`
}

// LookUp reads what one of the policy's `lookups` has found, into a list.
func (request *Request) LookUp(name string, list any) error {
	return json.Unmarshal(request.lookUp(name), list)
}

// Images gives those of the Pod, or the template of Pods, in the object: of all its containers and volumes.
func (request *Request) Images() ([]Image, error) {
	var object struct {
		Spec struct {
			podSpec
			Template    template `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template template `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(request.Request.Object, &object); err != nil {
		return nil, fmt.Errorf("the object cannot be read: %w", err)
	}
	spec, path := object.Spec.Template.Spec, "spec.template.spec"
	switch request.Request.Kind.Kind {
	case "Pod":
		spec, path = object.Spec.podSpec, "spec"
	case "CronJob":
		spec, path = object.Spec.JobTemplate.Spec.Template.Spec, "spec.jobTemplate.spec.template.spec"
	}
	images := []Image{}
	add := func(list string, containers []container) {
		for index, container := range containers {
			images = append(images, Image{container.Image, fmt.Sprintf("%s.%s[%d].image", path, list, index)})
		}
	}
	add("initContainers", spec.InitContainers)
	add("containers", spec.Containers)
	add("ephemeralContainers", spec.EphemeralContainers)
	for index, volume := range spec.Volumes {
		if volume.Image != nil {
			place := fmt.Sprintf("%s.volumes[%d].image.reference", path, index)
			images = append(images, Image{volume.Image.Reference, place})
		}
	}
	return images, nil
}

// judge reads a request and settings, and gives the reply.
func judge(request, settings []byte, lookUp func(name string) []byte) ([]byte, error) {
	read := Request{lookUp: lookUp}
	if err := json.Unmarshal(request, &read); err != nil {
		return nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	set, err := readSettings(settings)
	if err != nil {
		return nil, err
	}
	verdict, err := Validate(&read, set)
	if err != nil {
		return nil, err
	}
	if verdict.Violations == nil {
		verdict.Violations = []Violation{}
	}
	return json.Marshal(verdict)
}

// judgeSettings says what is wrong with settings.
func judgeSettings(settings []byte) ([]byte, error) {
	read, err := readSettings(settings)
	errors := []SettingsError{{Message: fmt.Sprint(err)}}
	if err == nil {
		errors = read.Validate()
	}
	return json.Marshal(map[string][]SettingsError{"errors": errors})
}

// readSettings refuses what is misspelt.
func readSettings(text []byte) (Settings, error) {
	var settings Settings
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&settings)
	return settings, err
}

func main() {}
