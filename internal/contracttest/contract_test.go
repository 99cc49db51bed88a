package contracttest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var contract = sync.OnceValues(New)

// me is an answer to get_me, chat the body of a request for a new chat.
const (
	me   = `{"mxid":"@a:example.com","permissions":"full","telegram":null}`
	chat = `{"type":"supergroup"}`
)

func exchange(method, path, body string, status int, answer string) Exchange {
	return Exchange{
		Request: httptest.NewRequest(method, path, nil), Body: []byte(body),
		Status: status, Header: http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"x"}}, Answer: []byte(answer),
	}
}

func TestCheckRefusesWhatTheDocumentDoesNotSay(t *testing.T) {
	const getMe, create = "/v1/user/@a:example.com", "/v1/portal/!r:example.com/create?user_id=@a:example.com"
	get := func(status int, answer string) Exchange { return exchange("GET", getMe, "", status, answer) }
	post := func(body string) Exchange { return exchange("POST", create, body, 201, `{"chat_id":-1001}`) }
	contract, err := contract()
	require.NoError(t, err)
	for name, right := range map[string]Exchange{
		"success": get(200, me), "error": get(400, `{"errcode":"mxid_invalid","error":"No."}`), "request with a body": post(chat),
	} {
		require.NoError(t, contract.Check(right), name)
	}
	withoutType := get(200, me)
	withoutType.Header.Del("Content-Type")
	for name, wrong := range map[string]Exchange{
		"unknown field":                  get(200, `{"mxid":"@a:example.com","permissions":"full","telegram":null,"more":1}`),
		"missing field":                  get(200, `{"mxid":"@a:example.com","permissions":"full"}`),
		"null":                           get(200, `{"mxid":null,"permissions":"full","telegram":null}`),
		"number for a string":            get(200, `{"mxid":1,"permissions":"full","telegram":null}`),
		"wrong pattern":                  get(200, `{"mxid":"a","permissions":"full","telegram":null}`),
		"value not in the enum":          get(200, `{"mxid":"@a:example.com","permissions":"best","telegram":null}`),
		"no object":                      get(200, `[]`),
		"no JSON":                        get(200, `{`),
		"unknown status":                 get(418, me),
		"unknown errcode":                get(400, `{"errcode":"never","error":"No."}`),
		"errcode of another one":         get(400, `{"errcode":"json_invalid","error":"No."}`),
		"no Content-Type":                withoutType,
		"unknown operation":              exchange("GET", "/v1/nothing", "", 200, `{}`),
		"request without its body":       post(""),
		"request, value not in the enum": post(`{"type":"party"}`),
		"request, wrong type":            post(`{"type":"supergroup","title":1}`),
		"request, missing field":         post(`{"title":"x"}`),
		"request, wrong query":           exchange("GET", "/v1/portal/!r:example.com?user_id=a", "", 200, `{}`),
	} {
		assert.Error(t, contract.Check(wrong), name)
	}
}

func TestCheckMessageRefusesWhatTheDocumentDoesNotSay(t *testing.T) {
	contract, err := contract()
	require.NoError(t, err)
	for _, right := range []string{`{"code":"tg://login?token=x","timeout":30}`, `{"success":true}`, `{"success":false,"error":"timeout"}`} {
		require.NoError(t, contract.CheckMessage([]byte(right)), right)
	}
	for _, wrong := range []string{
		`[]`, `{`, `{}`, `{"code":"x","timeout":30}`, `{"code":"tg://login?token=x"}`, `{"code":"tg://login?token=x","timeout":0}`,
		`{"code":"tg://login?token=x","timeout":"30"}`, `{"success":true,"more":1}`, `{"success":"yes"}`, `{"success":null}`,
	} {
		assert.Error(t, contract.CheckMessage([]byte(wrong)), wrong)
	}
}

// Values are checked as those of a document of version 3.0. For the schemas of the
// document that is no weaker than how one of version 3.1 is checked.
func TestSchemasAreCheckedNoLessThanThoseOfVersion31(t *testing.T) {
	contract, err := contract()
	require.NoError(t, err)
	valid, invalid := 0, 0
	for schema := range contract.schemas() {
		for _, value := range probes(sample(t, schema)) {
			switch err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020()); {
			case err == nil:
				valid++
			default:
				invalid++
				assert.Error(t, schema.VisitJSON(value), "%v: %#v: as version 3.1: %v", schema, value, err)
			}
		}
	}
	t.Logf("%d valid values and %d others", valid, invalid)
	assert.Greater(t, valid, 100)
	assert.Greater(t, invalid, 100)
}

// schemas returns those of the document that values are checked with, as far as kin-openapi
// compiles them for version 3.1: it does not use what it compiled where there is a $ref.
func (c *Contract) schemas() map[*openapi3.Schema]bool {
	all := map[*openapi3.Schema]bool{}
	add := func(ref *openapi3.SchemaRef) {
		errRef := errors.New("a $ref")
		if ref != nil && openapi3.NewSchemaRef("", ref.Value).WalkSubtree(func(_ string, part *openapi3.SchemaRef) error {
			if part.Ref != "" {
				return errRef
			}
			return nil
		}) == nil {
			all[ref.Value] = true
		}
	}
	for _, ref := range c.Document.Components.Schemas {
		add(ref)
	}
	for _, op := range c.operations {
		for _, parameter := range op.route.Operation.Parameters {
			add(parameter.Value.Schema)
		}
		if body := op.route.Operation.RequestBody; body != nil {
			add(body.Value.Content.Get("application/json").Schema)
		}
		for _, response := range op.route.Operation.Responses.Map() {
			add(schemaOf(response))
			for _, header := range response.Value.Headers {
				add(header.Value.Schema)
			}
		}
	}
	return all
}

// sample returns a value that a schema allows, as far as its keywords tell how.
func sample(t *testing.T, schema *openapi3.Schema) any {
	t.Helper()
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Example != nil:
		return schema.Example
	case len(schema.OneOf) > 0:
		return sample(t, schema.OneOf[0].Value)
	case len(schema.AnyOf) > 0:
		return sample(t, schema.AnyOf[0].Value)
	case schema.Type.Includes("object"), len(schema.Properties) > 0:
		object := map[string]any{}
		for name, property := range schema.Properties {
			object[name] = sample(t, property.Value)
		}
		return object
	case schema.Type.Includes("array"):
		return []any{sample(t, schema.Items.Value)}
	case schema.Type.Includes("integer"):
		return 1.0
	case schema.Type.Includes("boolean"):
		return true
	}
	return "1"
}

// scalars are values of every type, at the bounds that schemas have.
var scalars = []any{
	nil, true, false, -1.0, 0.0, 1.0, 1.5, 1e300, "", "1", "x", "true", "+1", "@a:b", "!a", "mxc://a/b", "tg://login?token=x",
	fmt.Sprintf("@%0300d:b", 0),
	[]any{},
	map[string]any{},
}

// probes returns a value and others that differ from it in one place.
func probes(value any) []any {
	all := append([]any{value}, scalars...)
	switch value := value.(type) {
	case map[string]any:
		with := func(name string, field any, there bool) map[string]any {
			changed := map[string]any{}
			for other, field := range value {
				changed[other] = field
			}
			if changed[name] = field; !there {
				delete(changed, name)
			}
			return changed
		}
		all = append(all, with("unknown", 1.0, true))
		for name, field := range value {
			all = append(all, with(name, nil, false))
			for _, probe := range probes(field) {
				all = append(all, with(name, probe, true))
			}
		}
	case []any:
		for _, probe := range probes(value[0]) {
			all = append(all, []any{probe}, []any{value[0], probe})
		}
	}
	return all
}
