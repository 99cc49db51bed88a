// Package contracttest checks requests and answers of the API against its OpenAPI
// document, and counts what of the document has been seen.
package contracttest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/tgprovision/tgprovision/provisioning"
)

// Row is something that the document says an operation may answer. Errcode is "" for
// successes.
type Row struct {
	Op      string
	Status  int
	Errcode string
}

// String implements fmt.Stringer.
func (r Row) String() string {
	return strings.TrimSpace(fmt.Sprint(r.Op, " ", r.Status, " ", r.Errcode))
}

// Exchange is a request and its answer.
type Exchange struct {
	// Request is the request as it was sent; its body is Body. What stands before /v1 in
	// its path does not matter.
	Request *http.Request
	Body    []byte

	Status int
	Header http.Header
	Answer []byte
}

// operation is an operation of the document.
type operation struct {
	route    routers.Route
	segments []string // of its path
}

// Contract is the document. Its methods may be called concurrently.
type Contract struct {
	// Document is the document as it is.
	Document *openapi3.T

	operations []operation

	mu       sync.Mutex
	rows     map[Row]bool    // whether it was seen
	examples map[string]bool // answers of the document's examples, likewise
}

// New reads the document of the API, which has to be valid.
func New() (*Contract, error) {
	document, err := load()
	if err != nil {
		return nil, err
	}
	if err := document.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	// Answers are checked against a stricter one, where no field is unknown.
	strict, err := load()
	if err != nil {
		return nil, err
	}
	// With a document of version 3.1, kin-openapi compiles a schema anew for each value, and
	// where the schema has a $ref, as most have, checks the value as it does with one of
	// version 3.0 all the same. It does that at once, in a fraction of the time, where the
	// document is one.
	strict.OpenAPI = "3.0.3"
	c := &Contract{Document: document, rows: map[Row]bool{}, examples: map[string]bool{}}
	for path, item := range strict.Paths.Map() {
		for method, op := range item.Operations() {
			c.operations = append(c.operations, operation{
				routers.Route{Spec: strict, Path: path, PathItem: item, Method: method, Operation: op},
				strings.Split(strings.TrimSuffix(path, "/"), "/"),
			})
			for _, row := range rowsOf(op) {
				c.rows[row] = false
			}
			for status, response := range op.Responses.Map() {
				forbidMore(schemaOf(response))
				if body := response.Value.Content.Get("application/json"); body != nil {
					for _, example := range body.Examples {
						c.examples[canonical(status, example.Value.Value)] = false
					}
				}
			}
		}
	}
	return c, nil
}

func load() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(provisioning.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	return document, nil
}

// canonical is an answer of one spelling.
func canonical(status string, body any) string {
	text, _ := json.Marshal(body) // from JSON, or YAML like it
	return status + " " + string(text)
}

// schemaOf returns what the body of a response is, nil for none.
func schemaOf(response *openapi3.ResponseRef) *openapi3.SchemaRef {
	if body := response.Value.Content.Get("application/json"); body != nil {
		return body.Schema
	}
	return nil
}

// Errcodes returns the schema of a response's errcodes, nil for a success.
func Errcodes(response *openapi3.ResponseRef) *openapi3.Schema {
	schema := schemaOf(response)
	if schema == nil {
		return nil
	}
	for _, part := range schema.Value.AllOf {
		if errcode := part.Value.Properties["errcode"]; errcode != nil && errcode.Value.Enum != nil {
			return errcode.Value
		}
	}
	return nil
}

// rowsOf lists what an operation may answer.
func rowsOf(op *openapi3.Operation) (rows []Row) {
	for code, response := range op.Responses.Map() {
		var status int
		if _, err := fmt.Sscanf(code, "%d", &status); err != nil {
			panic("contracttest: the status " + code + " of " + op.OperationID + " is no number")
		}
		errcodes := Errcodes(response)
		if errcodes == nil {
			rows = append(rows, Row{op.OperationID, status, ""})
			continue
		}
		for _, errcode := range errcodes.Enum {
			rows = append(rows, Row{op.OperationID, status, errcode.(string)})
		}
	}
	return rows
}

// forbidMore makes the schema of an answer allow no fields but those it lists.
func forbidMore(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil {
		return
	}
	schema := ref.Value
	for _, part := range slices.Concat(schema.OneOf, schema.AnyOf) {
		forbidMore(part)
	}
	for _, part := range schema.AllOf {
		if part.Ref != "" { // the other part narrows the errcode of the first
			forbidMore(part)
		}
	}
	forbidMore(schema.Items)
	forbidMore(schema.AdditionalProperties.Schema)
	if len(schema.Properties) > 0 && len(schema.AllOf) == 0 {
		no := false
		schema.AdditionalProperties.Has = &no
	}
	for _, property := range schema.Properties {
		forbidMore(property)
	}
}

// find returns the operation of a request and the values in its path.
func (c *Contract) find(r *http.Request) (*operation, map[string]string) {
	path := r.URL.RawPath // EscapedPath decodes a path that has anything raw in it
	if path == "" {
		path = r.URL.EscapedPath()
	}
	_, path, _ = strings.Cut(path, "/v1/")
	for _, path := range []string{path, strings.TrimSuffix(path, "/")} {
		segments := strings.Split("/v1/"+path, "/")
		for i, op := range c.operations {
			if op.route.Method != r.Method {
				continue
			}
			if values := op.match(segments); values != nil && op.isMeant(values) {
				return &c.operations[i], values
			}
		}
	}
	return nil, nil
}

// match returns the values in a path, nil where it is not that of the operation.
func (op operation) match(segments []string) map[string]string {
	if len(op.segments) != len(segments) {
		return nil
	}
	values := map[string]string{}
	for i, want := range op.segments {
		name, variable := strings.CutPrefix(want, "{")
		if !variable && segments[i] != want {
			return nil
		}
		if variable {
			values[strings.TrimSuffix(name, "}")], _ = url.PathUnescape(segments[i])
		}
	}
	return values
}

// isMeant tells the two ways to look a portal up apart, which differ by their values.
func (op operation) isMeant(values map[string]string) bool {
	chat := func(value string) bool { return value != "" && strings.Contains("-0123456789", value[:1]) }
	switch op.route.Operation.OperationID {
	case "get_portal":
		return !chat(values["room_id"])
	case "get_portal_by_tgid":
		return chat(values["chat_id"])
	}
	return true
}

// maxExample is more than the examples of the document have, in bytes.
const maxExample = 4096

// outside is what requests get that no operation is for.
var outside = map[int][]string{
	401: {"shared_secret_invalid", "login_link_invalid"}, 404: {"unhandled_http_404"}, 405: {"unhandled_http_405"},
	429: {"too_many_requests"}, 503: {"overloaded", "not_ready"},
}

// Check returns an error when the document does not say that this answer may come to
// this request.
func (c *Contract) Check(e Exchange) error {
	var body struct {
		Errcode string `json:"errcode"`
	}
	_ = json.Unmarshal(e.Answer, &body) // a list has none
	op, values := c.find(e.Request)
	if op == nil {
		if !slices.Contains(outside[e.Status], body.Errcode) {
			return fmt.Errorf("a request that no operation is for got %d %s", e.Status, e.Answer)
		}
		return nil
	}
	input := &openapi3filter.RequestValidationInput{
		Request: request(e), PathParams: values, QueryParams: url.Values{}, Route: &op.route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			// What a 101 has for content are the messages that follow, see CheckMessage.
			ExcludeResponseBody: e.Status == http.StatusSwitchingProtocols,
		},
	}
	for parameter := range strings.SplitSeq(e.Request.URL.RawQuery, "&") { // Query leaves out what has a semicolon
		name, value, _ := strings.Cut(parameter, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr == nil && valueErr == nil && !input.QueryParams.Has(name) { // the first one counts
			input.QueryParams.Set(name, value)
		}
	}
	ctx := context.Background()
	if e.Status < 300 {
		if err := openapi3filter.ValidateRequest(ctx, input); err != nil {
			return fmt.Errorf("%s: a request that the document forbids succeeded: %w", op.route.Operation.OperationID, err)
		}
	}
	err := openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: e.Status, Header: e.Header, Options: input.Options,
		Body: io.NopCloser(bytes.NewReader(e.Answer)),
	})
	if err != nil {
		return fmt.Errorf("%s: the document does not have this answer: %w", op.route.Operation.OperationID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[Row{op.route.Operation.OperationID, e.Status, body.Errcode}] = true
	if e.Status == http.StatusSwitchingProtocols {
		return nil // no body
	}
	var whole any
	if err := json.Unmarshal(e.Answer, &whole); err != nil {
		return fmt.Errorf("%s: not JSON: %w", op.route.Operation.OperationID, err)
	}
	if example := canonical(fmt.Sprint(e.Status), whole); len(e.Answer) < maxExample {
		if _, ok := c.examples[example]; ok {
			c.examples[example] = true
		}
	}
	return nil
}

// CheckMessage returns an error for a message on the WebSocket of login_qr that is none
// of the document's.
func (c *Contract) CheckMessage(message []byte) error {
	var value map[string]any
	if err := json.Unmarshal(message, &value); err != nil {
		return fmt.Errorf("a message is no object: %w", err)
	}
	name := "QRResult"
	if _, ok := value["code"]; ok {
		name = "QRCode"
	}
	schema := c.Document.Components.Schemas[name].Value
	for field := range value {
		if schema.Properties[field] == nil {
			return fmt.Errorf("%s has no field %q", name, field)
		}
	}
	if err := schema.VisitJSON(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// request returns the request as a client would have sent it that follows the
// document.
func request(e Exchange) *http.Request {
	r := e.Request.Clone(context.Background())
	r.Body = io.NopCloser(bytes.NewReader(e.Body))
	r.ContentLength = int64(len(e.Body))
	r.Header.Set("Content-Type", "application/json") // not needed, says the document
	return r
}

// Missing returns the rows that no answer has been yet, and the examples that none was
// equal to, in order.
func (c *Contract) Missing() (rows []Row, examples []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for row, seen := range c.rows {
		if !seen {
			rows = append(rows, row)
		}
	}
	for example, seen := range c.examples {
		if !seen {
			examples = append(examples, example)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.String(), b.String()) })
	slices.Sort(examples)
	return rows, examples
}

// Rows returns all rows.
func (c *Contract) Rows() []Row {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.rows))
}

// Summary counts the operations and rows that have been seen.
func (c *Contract) Summary() string {
	missing, _ := c.Missing()
	incomplete := map[string]bool{}
	for _, row := range missing {
		incomplete[row.Op] = true
	}
	return fmt.Sprintf("contract: %d/%d operations, %d/%d rows",
		len(c.operations)-len(incomplete), len(c.operations), len(c.rows)-len(missing), len(c.rows))
}
