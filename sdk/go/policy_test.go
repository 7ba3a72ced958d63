package main

import (
	"encoding/json"
	"testing"
)

func TestImagesComeFromApprovedRegistries(t *testing.T) {
	settings := `{"registries": ["registry.example.com/team", "docker.io/library"]}`
	for _, test := range []struct{ kind, spec, path string }{
		{"Pod", `{"containers": [{"image": "registry.example.com/team/web:1"}]}`, ""},
		{"Pod", `{"containers": [{"image": "nginx"}]}`, ""},
		{"Pod", `{"containers": [{"image": "acme/web"}]}`, "spec.containers[0].image"},
		{"Pod", `{"initContainers": [{"image": "registry.example.com/teams/web"}]}`, "spec.initContainers[0].image"},
		{"Deployment", `{"template": {"spec": {"ephemeralContainers": [{"image": "localhost/web"}]}}}`,
			"spec.template.spec.ephemeralContainers[0].image"},
		{"CronJob", `{"jobTemplate": {"spec": {"template": {"spec": {"volumes": [{}, {"image": {"reference": "ghcr.io/a"}}]}}}}}`,
			"spec.jobTemplate.spec.template.spec.volumes[1].image.reference"},
	} {
		request := `{"request": {"kind": {"kind": "` + test.kind + `"}, "object": {"spec": ` + test.spec + `}}}`
		text, err := judge([]byte(request), []byte(settings), nil)
		var reply Verdict
		if err == nil {
			err = json.Unmarshal(text, &reply)
		}
		path := ""
		if len(reply.Violations) == 1 {
			path = reply.Violations[0].FieldPath
		}
		if err != nil || reply.Violations == nil || len(reply.Violations) > 1 || path != test.path {
			t.Errorf("%s: %s, %v", test.spec, text, err)
		}
	}
}

func TestSettings(t *testing.T) {
	for settings, expected := range map[string]string{
		`{"registries": ["a.example.com"]}`: `{"errors":[]}`,
		`{}`:                                `{"errors":[{"path":"registries","message":"must name a registry"}]}`,
		`{"registries": ["a", "b/"]}`:       `{"errors":[{"path":"registries[1]","message":"must be a host, or a host and a path"}]}`,
		`{"registry": ["a"]}`:               `{"errors":[{"path":"","message":"json: unknown field \"registry\""}]}`,
	} {
		if reply, err := judgeSettings([]byte(settings)); string(reply) != expected || err != nil {
			t.Errorf("%s: %s, %v", settings, reply, err)
		}
	}
}
