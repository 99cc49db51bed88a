package provisioning

import (
	_ "embed"
	"slices"
)

//go:embed openapi.yaml
var openapi []byte

// OpenAPI returns the OpenAPI 3.1 document of the API, in YAML: every operation with
// every status and errcode. Its only server is "..", so that it fits wherever it is
// served as openapi.yaml beside the operations. Package apidocs serves it.
func OpenAPI() []byte { return slices.Clone(openapi) }
