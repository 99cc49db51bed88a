package shapes

const System = "windows"
