/** Language numbers of the binary header (upstream LanguageCode); the JSON header has the names. OTHER is known everywhere. */
export const JAVA = 0
export const CPP = 1
export const DOTNET = 2
export const PYTHON = 3
export const DELPHI = 4
export const ERLANG = 5
export const RUBY = 6
export const OTHER = 7
export const HTTP = 8
export const GO = 9
export const PHP = 10
export const OMS = 11
export const RUST = 12
export const NODE_JS = 13
