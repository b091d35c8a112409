// What receivers do with a request: the official libraries where they know the signature, jose for key sets,
// `node:crypto` for `v1a`, which no official JavaScript library checks, and for the parameters of a GET what docs/receivers.md says.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSignatureVerifier } from '@crystallize/js-api-client';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { Webhook } from 'standardwebhooks';

/** What a receiver passes to the verifiers: the raw request and the URL that the webhook has. */
export function simplified({ url, method, body }, webhookUrl) {
    return { url, method, body, webhookUrl };
}

const receiversPage = await readFile(new URL('../../docs/receivers.md', import.meta.url), 'utf8');

/** The block of code in that language of docs/receivers.md that has these words. */
export function shownCode(language, words) {
    const blocks = [...receiversPage.matchAll(/^```(\S+)\n([\s\S]*?)^```$/gm)].filter(([, of, code]) => of === language && code.includes(words));
    assert.equal(blocks.length, 1, `${blocks.length} blocks of ${language} have ${words}`);
    return blocks[0][2];
}

/** The text that is signed of a GET, as docs/receivers.md shows it. */
export const signedParameters = new Function(`${shownCode('js', 'function signedParameters(')}; return signedParameters;`)();

/** The text that the Standard Webhooks signature covers. */
export function signedText({ url, method, body }, webhookUrl) {
    return method === 'GET' ? signedParameters(url, webhookUrl) : body;
}

/** Both signatures by a secret. */
export async function verifyBySecret(request, webhookUrl, secret) {
    verifyV1(request, webhookUrl, secret);
    return verifySymmetricJwt(request, webhookUrl, secret);
}

/** The library gets the request as it came, as its own documentation says, and what is signed of it, as docs/receivers.md says. */
export async function verifySymmetricJwt(request, webhookUrl, secret) {
    const verifier = createSignatureVerifier({ secret });
    const jwt = request.headers['x-crystallize-signature'];
    await verifier(jwt, { url: webhookUrl, method: request.method, body: signedText(request, webhookUrl) });
    return verifier(jwt, simplified(request, webhookUrl));
}

export function verifyV1(request, webhookUrl, secret) {
    return new Webhook(secret).verify(signedText(request, webhookUrl), request.headers);
}

/** The JWT by a key set at that address, as of `currentDate`. */
export async function verifyAsymmetricJwt(request, webhookUrl, keySetUrl, currentDate = new Date()) {
    const expected = { audience: 'webhook', issuer: 'crystallize', subject: 'signature', algorithms: ['EdDSA'], currentDate };
    const { payload } = await jwtVerify(request.headers['x-crystallize-signature'], createRemoteJWKSet(new URL(keySetUrl)), expected);
    const hashed = `{"url":${JSON.stringify(webhookUrl)},"method":"${request.method}","body":${signedText(request, webhookUrl) || 'null'}}`;
    assert.equal(payload.hmac, createHash('sha256').update(hashed, 'utf8').digest('hex'), 'the hmac claim');
    return payload;
}

/** `v1a` by a public key, `whpk_…`, as the specification says; timestamps may be five minutes off. */
export function verifyV1a(request, webhookUrl, publicKey, currentDate = new Date()) {
    const x = Buffer.from(publicKey.slice('whpk_'.length), 'base64').toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': header } = request.headers;
    assert.ok(Math.abs(currentDate / 1000 - Number(timestamp)) < 300, 'the timestamp');
    const message = Buffer.from(`${id}.${timestamp}.${signedText(request, webhookUrl)}`);
    const signatures = header.split(' ').filter((signature) => signature.startsWith('v1a,')).map((signature) => Buffer.from(signature.slice(4), 'base64'));
    assert.ok(signatures.some((signature) => verifySignature(null, message, key, signature)), 'no v1a signature fits');
}
