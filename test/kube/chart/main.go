// What Helm makes of a chart, as JSON, and what its lint has against it.
//
// usage: render CHART NAMESPACE <values.yaml
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

func main() {
	objects, err := render(os.Args[1], os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(objects)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func render(path, namespace string) ([]any, error) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, err
	}
	values, err := chartutil.ReadValues(text)
	if err != nil {
		return nil, err
	}
	if err := check(path, namespace, values); err != nil {
		return nil, err
	}
	chart, err := loader.Load(path)
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "flannel", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, release, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return nil, err
	}
	return objectsOf(files)
}

// What `helm lint` calls an error or a warning.
func check(path, namespace string, values map[string]any) error {
	for _, message := range lint.All(path, values, namespace, true).Messages {
		if message.Severity >= support.WarningSev {
			return fmt.Errorf("lint: %w", message)
		}
	}
	return nil
}

func objectsOf(files map[string]string) ([]any, error) {
	var objects []any
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for document := range strings.SplitSeq(files[name], "\n---\n") {
			var object any
			if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
				return nil, fmt.Errorf("%s: %w in:\n%s", name, err, document)
			}
			if object != nil {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}
