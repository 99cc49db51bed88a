package provisioning

import (
	"encoding/json"
	"errors"
)

// object is a decoded JSON object.
type object map[string]json.RawMessage

// text returns a string of the object. Absent and null are errValueMissing,
// another type is errValueInvalid.
func (o object) text(name string) (string, error) {
	raw, ok := o[name]
	if !ok || string(raw) == "null" {
		return "", errValueMissing
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errValueInvalid
	}
	return s, nil
}

// optionalText is text for a value that may be absent or null, which is "".
func (o object) optionalText(name string) (string, error) {
	s, err := o.text(name)
	if errors.Is(err, errValueMissing) {
		return "", nil
	}
	return s, err
}

// loginCode returns a login code of the object: a string, or an integer that is
// not negative.
func (o object) loginCode(name string) (LoginCode, error) {
	if raw := string(o[name]); isDigits(raw) {
		return IntegerLoginCode(raw), nil
	}
	s, err := o.text(name)
	if err != nil {
		return LoginCode{}, err
	}
	code := TextLoginCode(s)
	if code.Value(0) == "" {
		return LoginCode{}, errValueMissing
	}
	return code, nil
}
