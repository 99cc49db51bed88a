package shapes

const System = "linux"
