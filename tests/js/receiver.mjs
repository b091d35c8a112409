// A receiver: a real HTTP server that keeps every request as it came, and hands it to whoever waits for it.
import { once } from 'node:events';
import { createServer } from 'node:http';

/** Starts a receiver; it answers with what `answer(request)` says (a status), 200 by default. */
export async function startReceiver(answer = () => 200) {
    const receiver = new Receiver(answer);
    await receiver.listen();
    return receiver;
}

class Receiver {
    #server;
    #answer;
    #kept = new Map();
    #waiting = new Map();

    constructor(answer) {
        this.#answer = answer;
        this.#server = createServer(async (request, response) => {
            const chunks = [];
            for await (const chunk of request) chunks.push(chunk);
            const received = this.#receive(request, Buffer.concat(chunks));
            response.writeHead(this.#answer(received)).end();
        });
    }

    async listen() {
        this.#server.listen(0, '127.0.0.1');
        await once(this.#server, 'listening');
        this.url = `http://127.0.0.1:${this.#server.address().port}`;
    }

    /** The next request to that path that nobody has been handed yet. */
    next(path) {
        const kept = this.#kept.get(path)?.shift();
        if (kept) return Promise.resolve(kept);
        return new Promise((resolve) => push(this.#waiting, path, resolve));
    }

    /** The requests to that path that nobody has been handed yet. */
    left(path) {
        return this.#kept.get(path) ?? [];
    }

    async stop() {
        this.#server.closeAllConnections();
        this.#server.close();
        await once(this.#server, 'close');
    }

    #receive({ method, url, headers, rawHeaders }, bytes) {
        const received = { method, url: this.url + url, headers, rawHeaders, body: bytes.toString('utf8'), bytes };
        const path = new URL(received.url).pathname;
        const waiting = this.#waiting.get(path)?.shift();
        if (waiting) waiting(received);
        else push(this.#kept, path, received);
        return received;
    }
}

function push(map, key, value) {
    map.set(key, [...(map.get(key) ?? []), value]);
}
