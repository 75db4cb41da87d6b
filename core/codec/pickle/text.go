package pickle

import "unicode/utf8"

// isText reports whether text is UTF-8, but that it may have surrogates, as Python's
// error handler surrogatepass lets it.
func isText(text string) bool {
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			if len(text) < 3 || text[0] != 0xed || text[1]&0xe0 != 0xa0 || text[2]&0xc0 != 0x80 {
				return false
			}
			size = 3
		}
		text = text[size:]
	}
	return true
}

// latin1 returns the characters of text as bytes, if they are all below 256.
func latin1(text string) ([]byte, bool) {
	data := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, false
		}
		data = append(data, byte(r))
	}
	return data, true
}
