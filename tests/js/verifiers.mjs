// What receivers do with a request: the official libraries where they know the signature, jose for key sets, and
// `node:crypto` for `v1a`, which no official JavaScript library checks.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto';
import { createSignatureVerifier } from '@crystallize/js-api-client';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { Webhook } from 'standardwebhooks';

/** What a receiver passes to the verifiers: the raw request and the URL that the webhook has. */
export function simplified({ url, method, body }, webhookUrl) {
    return { url, method, body, webhookUrl };
}

/** The text that the Standard Webhooks signature covers. */
export function signedText({ url, method, body }, webhookUrl) {
    if (method !== 'GET') return body;
    const configured = new URL(webhookUrl).searchParams;
    const appended = [...new URL(url).searchParams].filter(([name]) => !configured.has(name));
    return JSON.stringify(appended.length > 0 ? Object.fromEntries(appended) : null);
}

/** Both signatures by a secret. */
export async function verifyBySecret(request, webhookUrl, secret) {
    verifyV1(request, webhookUrl, secret);
    return verifySymmetricJwt(request, webhookUrl, secret);
}

export function verifySymmetricJwt(request, webhookUrl, secret) {
    return createSignatureVerifier({ secret })(request.headers['x-crystallize-signature'], simplified(request, webhookUrl));
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
