//go:build cgo

package shapes

func WithCgo() {}
