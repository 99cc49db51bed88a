// Package more uses the types of another package of its module.
package more

import (
	"io"

	"example.com/library/shapes"
)

func Convert(from shapes.Struct, to *shapes.Set[string], into io.Writer) shapes.Func { return nil }
