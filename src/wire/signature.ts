/**
 * The ACL signature of a request (protocol.md 18.1; upstream AclClientRPCHook, AclUtils, AclSigner). node:crypto takes 3 ms
 * to load, and is loaded when something is signed.
 */

/**
 * Base64 of HMAC-SHA1 over the values of all header fields except `Signature`, in the order of their names by UTF-16
 * unit, followed by the body. It protects neither names, nor codes, nor against replay: use TLS.
 */
export const sign = (secretKey: string, ext: Readonly<Record<string, string>>, body?: Uint8Array): string => {
  let content = ''
  for (const name of Object.keys(ext).sort()) if (name !== 'Signature') content += ext[name]
  return process
    .getBuiltinModule('node:crypto')
    .createHmac('sha1', secretKey)
    .update(content)
    .update(body ?? '')
    .digest('base64')
}
