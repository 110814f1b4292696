// Signs requests with the signers of AWS's SDK for JavaScript: a JSON list on standard input, one on standard output.
//
// In:  { how: "header" | "presigned" | "sigv4a", method, path, query, headers, body, credentials, region, service, date,
//        expires?, presigning? }
// Out: { target, headers }, as the SDK would put them on the wire.

import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { HttpRequest } from "@smithy/protocol-http";
import { SignatureV4 } from "@smithy/signature-v4";
import { SignatureV4a } from "@smithy/signature-v4a";

/** The hash the signers ask for. */
class Sha256 {
  constructor(secret) {
    this.hash = secret === undefined ? createHash("sha256") : createHmac("sha256", Buffer.from(secret));
  }
  update(data) {
    this.hash.update(typeof data === "string" ? data : Buffer.from(data));
  }
  async digest() {
    return new Uint8Array(this.hash.digest());
  }
}

const escape = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** The query as the SDK writes it: sorted by name, the values of a name in their order. */
function wireQuery(query) {
  const pairs = Object.keys(query).sort().flatMap((name) =>
    [query[name]].flat().map((value) => `${escape(name)}=${escape(value ?? "")}`));
  return pairs.length ? `?${pairs.join("&")}` : "";
}

async function sign({ how, method, path, query, headers, body, credentials, region, service, date, expires, presigning }) {
  const isS3 = service === "s3";
  const options = { credentials, region, service, sha256: Sha256, uriEscapePath: !isS3, applyChecksum: isS3 };
  // As the SDK's presigner for S3 does; it moves on into the query.
  if (isS3 && how === "presigned") headers = { ...headers, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD" };
  const request = new HttpRequest({ method, protocol: "https:", hostname: headers.host, path, query, headers, body });
  const signingDate = new Date(date);
  const signed =
    how === "sigv4a" ? await new SignatureV4a(options).sign(request, { signingDate })
    : how === "header" ? await new SignatureV4(options).sign(request, { signingDate })
    : await new SignatureV4(options).presign(request, {
        signingDate,
        expiresIn: expires,
        unhoistableHeaders: new Set(presigning?.unhoistable ?? []),
        hoistableHeaders: new Set(presigning?.hoistable ?? []),
      });
  return { target: signed.path + wireQuery(signed.query ?? {}), headers: Object.entries(signed.headers) };
}

const requests = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await Promise.all(requests.map(sign))));
