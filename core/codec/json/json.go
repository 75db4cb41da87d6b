// Package json has the codec for items in JSON, as encoding/json reads and writes it: those
// of a queue of Python with codec="json".
//
//	Go                              JSON        Python
//	nil                             null        None
//	bool                            true        bool
//	integers, *big.Int              1           int
//	floating point                  1.5         float
//	string                          "text"      str
//	[]byte                          "dGV4dA=="  str: base64.b64decode
//	slices, arrays                  [1, 2]      list; tuple is only written
//	maps, structs                   {"a": 1}    dict, its keys str
//	time.Time                       RFC 3339    str: datetime.fromisoformat
//
// In a variable of type any a number becomes a float64, which holds integers up to 2**53;
// a field of an integer type, or of type json.Number, gets all digits. NaN and infinities
// are refused on both sides.
package json

import "encoding/json"

// Codec is a core.Codec.
type Codec struct{}

// Marshal is json.Marshal.
func (Codec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal is json.Unmarshal.
func (Codec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
