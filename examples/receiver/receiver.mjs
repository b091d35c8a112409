// A webhook receiver: verifies both signatures of every request with their official libraries, and prints what came.
import { createServer } from 'node:http';
import { createSignatureVerifier } from '@crystallize/js-api-client';
import { Webhook } from 'standardwebhooks';

const secret = process.env.SIGNATURE_SECRET; // the tenant's: whsec_…
const port = Number(process.env.PORT ?? 9000);
if (!secret) throw new Error('set SIGNATURE_SECRET to the tenant\'s signature secret (whsec_…)');
const verifyJwt = createSignatureVerifier({ secret });
const standardWebhook = new Webhook(secret);
const seen = new Set(); // a real receiver keeps these in its database

const server = createServer(async (request, response) => {
    try {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        const body = Buffer.concat(chunks).toString('utf8');
        // The URL as the webhook has it. Behind a proxy the received one differs: configure it, do not rebuild it.
        const webhookUrl = new URL(process.env.WEBHOOK_URL ?? `http://127.0.0.1:${server.address().port}/`).href;
        const { method, headers } = request;
        // What is signed is also what to work with: of a GET not the query, in which more may stand.
        const signed = method === 'GET' ? signedParameters(request.url, webhookUrl) : body;
        await verifyJwt(String(headers['x-crystallize-signature']), { url: webhookUrl, method, body: signed });
        standardWebhook.verify(signed, headers);
        const id = headers['webhook-id'];
        console.log(seen.has(id) ? `${id} came again` : `${id} ${method} ${signed}`);
        seen.add(id);
        response.writeHead(204).end();
    } catch (error) {
        console.error(`refused: ${error.message}`);
        if (!process.env.WEBHOOK_URL) console.error(`(is the webhook's url http://127.0.0.1:${server.address().port}/ to the letter? else set WEBHOOK_URL to it)`);
        response.writeHead(401).end();
    }
});

// A GET has no body: what is signed is the appended parameters as a flat JSON object, or null where there are none. Of the URL
// that was received, only the query counts: a proxy may have changed the rest.
function signedParameters(receivedUrl, webhookUrl) {
    const received = [...new URLSearchParams(receivedUrl.replace(/^[^?]*/, ''))];
    const configured = [...new URL(webhookUrl).searchParams];
    const appended = received.slice(configured.length);
    const isConfigured = JSON.stringify(received.slice(0, configured.length)) === JSON.stringify(configured);
    const count = (parameters) => new Set(parameters.map(([name]) => name)).size; // of names
    const isOnceEach = count(received) === count(configured) + appended.length;
    if (!isConfigured || !isOnceEach) throw new Error('these are not the parameters that were signed');
    return JSON.stringify(appended.length > 0 ? Object.fromEntries(appended) : null);
}

server.listen(port, '127.0.0.1', () => console.log(`receiving on http://127.0.0.1:${server.address().port}/`));
