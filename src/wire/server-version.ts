/** What the version number in a frame says of the server that sent it (upstream MQVersion; protocol.md 1.4). */

/** The first with timers and pops. */
export const V5_0_0 = 413

/** `4.9.7` for 407: from 4.0.0 on there are two numbers for each release, and ten releases to a minor version. Empty for others. */
export const versionName = (version: number): string => {
  const digits = ((version - 12) >> 1) + 300
  return digits < 400 || digits > 999 ? '' : String(digits).replace(/\B/g, '.')
}
