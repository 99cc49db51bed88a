package main

import (
	"runtime"
	"runtime/debug"
)

// versions are those that the program was built of; "unknown" where the build does not say.
type versions struct{ module, golang, gotd string }

func builtOf() versions {
	v := versions{"unknown", runtime.Version(), "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.module = info.Main.Version
	}
	for _, dependency := range info.Deps {
		if dependency.Path == "github.com/gotd/td" {
			v.gotd = dependency.Version
		}
	}
	return v
}

func (v versions) String() string {
	return "tgprovision " + v.module + ", " + v.golang + ", gotd " + v.gotd
}
