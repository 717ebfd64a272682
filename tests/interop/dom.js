// As much of a page as clients need that talk by scripts and forms (JSONP), and the XMLHttpRequest of one. What a
// server must live with is done as browsers do it: scripts and forms say by Referer which page they are on; a script
// runs only if its answer is 2xx and may be a script; a form is posted URL-encoded, as UTF-8, with each newline as CRLF;
// its answer ends in an iframe, which tells no more than that it came.
"use strict";

const http = require("node:http");

const SCRIPTS = /^(text|application)\/(x-)?(java|ecma)script\s*(;|$)/i;

class Element {
  constructor(document, tagName) {
    Object.assign(this, { document, tagName, parentNode: null, children: [], attributes: {}, style: {} });
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  appendChild(child) {
    return this.insertBefore(child, null);
  }

  insertBefore(child, before) {
    const at = before ? this.children.indexOf(before) : this.children.length;
    if (at < 0) throw new Error("NotFoundError");
    child.parentNode?.removeChild(child);
    this.children.splice(at, 0, child);
    child.parentNode = this;
    if (child.tagName === "script" && child.src) child.document.load(child);
    return child;
  }

  removeChild(child) {
    const at = this.children.indexOf(child);
    if (at < 0) throw new Error("NotFoundError");
    this.children.splice(at, 1);
    child.parentNode = null;
    return child;
  }

  all(tagName) {
    return this.children.flatMap((child) => [...(child.tagName === tagName ? [child] : []), ...child.all(tagName)]);
  }
}

class Form extends Element {
  submit() {
    const fields = this.all("textarea").map(({ name, value }) => [name, value.replace(/\r\n?|\n/g, "\r\n")]);
    const target = this.document.getElementsByTagName("iframe").find(({ name }) => name === this.target);
    this.document.post(this.action, new URLSearchParams(fields).toString(), target);
  }
}

class Document {
  // `run` executes the text of a script in the global scope of the page at the address `URL`.
  constructor(URL, run) {
    Object.assign(this, { URL, run });
    this.documentElement = new Element(this, "html");
    this.head = this.documentElement.appendChild(this.createElement("head"));
    this.body = this.documentElement.appendChild(this.createElement("body"));
    this.head.appendChild(this.createElement("script")); // the one which holds the page's program
  }

  createElement(tagName) {
    if (!/^[a-z]+$/.test(tagName)) throw new Error("InvalidCharacterError"); // clients try "<iframe ...>" first
    return tagName === "form" ? new Form(this, tagName) : new Element(this, tagName);
  }

  getElementsByTagName(tagName) {
    return this.documentElement.all(tagName);
  }

  // A script that was removed meanwhile runs all the same.
  async load(script) {
    let text;
    try {
      text = scriptOf(await request(script.src, { method: "GET", headers: { Referer: this.URL } }));
    } catch (error) {
      script.onerror?.(error);
      return;
    }
    try {
      this.run(text);
    } catch (error) {
      console.error(`uncaught in ${script.src}:`, error); // for window.onerror, not for the script's
    }
    script.onload?.();
  }

  async post(address, body, iframe) {
    const headers = { "Content-Type": "application/x-www-form-urlencoded", Referer: this.URL };
    await request(address, { method: "POST", headers }, body).catch(() => {}); // then the iframe shows an error page
    if (iframe?.parentNode) iframe.onload?.();
  }
}

class XMLHttpRequest {
  readyState = 0;
  status = 0;
  response = "";
  responseType = "";
  withCredentials = false; // where it is missing, the browser lets no page call another site
  headers = {};

  // Never waits, though a page that is left asks to: nothing else would run meanwhile.
  open(method, address) {
    Object.assign(this, { method, address });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  async send(body) {
    const { signal } = (this.aborting = new AbortController());
    const bytes = body instanceof ArrayBuffer ? Buffer.from(body) : body ?? undefined;
    const sent = request(this.address, { method: this.method, headers: this.headers, signal }, bytes);
    const [status, headers, content] = await sent.catch(() => [0, {}, Buffer.alloc(0)]);
    Object.assign(this, { status, received: headers });
    this.become(2); // a client may ask for binary only now
    this.response = this.responseType === "arraybuffer" ? Uint8Array.from(content).buffer : content.toString();
    this.become(4);
  }

  become(readyState) {
    this.readyState = readyState;
    if (!this.aborting.signal.aborted) this.onreadystatechange?.();
  }

  get responseText() {
    if (this.responseType) throw new Error("InvalidStateError");
    return this.response;
  }

  getResponseHeader(name) {
    return this.received[name.toLowerCase()] ?? null;
  }

  abort() {
    this.aborting?.abort();
  }
}

function scriptOf([status, headers, content]) {
  if (status < 200 || status > 299) throw new Error(`status ${status}`);
  if (headers["x-content-type-options"] === "nosniff" && !SCRIPTS.test(headers["content-type"])) {
    throw new Error(`no script: ${headers["content-type"]}`);
  }
  return content.toString();
}

// [status, headers, content] of the answer.
function request(address, options, body) {
  return new Promise((resolve, reject) => {
    const asked = http.request(address, { agent: false, ...options });
    asked.on("error", reject);
    asked.on("response", async (response) => {
      const chunks = [];
      try {
        for await (const chunk of response) chunks.push(chunk);
        resolve([response.statusCode, response.headers, Buffer.concat(chunks)]);
      } catch (error) {
        reject(error);
      }
    });
    asked.end(body); // with its length
  });
}

// Where the pages of JSONP are: on another site, which is what JSONP was for.
const ELSEWHERE = new URL("http://pages.example/chat.html");

module.exports = { Document, ELSEWHERE, XMLHttpRequest };
