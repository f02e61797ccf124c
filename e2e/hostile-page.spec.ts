import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium, expect, test } from '@playwright/test'
import { callApi } from './support/api.ts'
import { type HelperProcess, makeHelperFolder, startHelper } from './support/helper-process.ts'

/** What a web page that somebody happens to open can do to the helper on their machine: nothing. Field attacks 5 to 8. */

let helper: HelperProcess
/** Somebody whose code is good: an order to connect to them would show. */
let friend: HelperProcess
let evil: Server
let evilOrigin: string
let remove: () => Promise<unknown>

test.beforeAll(async () => {
  const [folder, friendFolder] = [await makeHelperFolder('hostile-page'), await makeHelperFolder('hostile-page-friend')]
  remove = () => Promise.all([folder.remove(), friendFolder.remove()])
  helper = await startHelper(folder)
  friend = await startHelper(friendFolder)
  evil = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end('<!doctype html><title>Cute cats</title><body>cats</body>')
  })
  await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
  evilOrigin = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`
})

test.afterAll(async () => {
  evil.close()
  await Promise.all([helper.stop(), friend.stop()])
  await remove()
})

/** Runs in the page. Every attempt reports what it got; getting anything readable is the failure. */
async function attack({ ui, code }: { ui: string; code: string }): Promise<Record<string, string>> {
  const outcomes: Record<string, string> = {}
  const attempt = async (name: string, action: () => Promise<string>) => {
    outcomes[name] = await action().catch((error: unknown) => `refused: ${String(error)}`)
  }
  const read = async (input: string, init?: RequestInit) => {
    const response = await fetch(input, init)
    return response.type === 'opaque' ? 'opaque' : response.ok ? `READ ${await response.text()}` : `status ${response.status}`
  }
  await attempt('read the status', () => read(`${ui}/api/status`))
  await attempt('read the app', () => read(`${ui}/`))
  const body = JSON.stringify({ code })
  await attempt('order a connection with a simple request', () => read(`${ui}/api/connect`, { method: 'POST', mode: 'no-cors', headers: { 'content-type': 'text/plain' }, body }))
  await attempt('order a connection with JSON', () => read(`${ui}/api/connect`, { method: 'POST', headers: { 'content-type': 'application/json' }, body }))
  await attempt('order a connection with a form', () =>
    new Promise((resolve) => {
      const form = document.createElement('form')
      const frame = document.createElement('iframe')
      frame.name = 'answer'
      frame.addEventListener('load', () => resolve('sent'))
      Object.assign(form, { method: 'POST', action: `${ui}/api/connect`, enctype: 'text/plain', target: 'answer' })
      const field = document.createElement('input')
      Object.assign(field, { name: body.slice(0, -1), value: '}' })
      form.append(field)
      document.body.append(frame, form)
      form.submit()
    }))
  await attempt('stop the helper', () => read(`${ui}/api/shutdown`, { method: 'POST', mode: 'no-cors', body: '{}' }))
  await attempt('open the control socket', () =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${ui.replace('http', 'ws')}/control`)
      socket.addEventListener('open', () => resolve('OPENED'))
      socket.addEventListener('message', (event) => resolve(`READ ${String(event.data)}`))
      socket.addEventListener('error', () => resolve('refused'))
    }))
  await attempt('embed the app', () =>
    new Promise((resolve) => {
      const frame = document.createElement('iframe')
      frame.src = ui
      frame.addEventListener('load', () => {
        // A refused frame loads an error page of the browser's own, which is just as unreadable; the size of what was framed gives it away.
        resolve(frame.contentWindow?.length === undefined ? 'refused' : 'loaded something')
      })
      document.body.append(frame)
    }))
  return outcomes
}

test('a page on another origin reads nothing and orders nothing', async ({ page }) => {
  await page.goto(evilOrigin)
  const outcomes = await page.evaluate(attack, { ui: helper.ui, code: friend.code })
  for (const [name, outcome] of Object.entries(outcomes)) {
    expect(outcome, name).not.toMatch(/^(READ|OPENED)/)
  }
  expect(outcomes['open the control socket']).toBe('refused')
  // The helper took none of the orders: it knows nobody, and is still there.
  expect((await callApi<{ peers: unknown[] }>(helper, 'snapshot')).peers).toEqual([])
  expect((await callApi<{ peers: unknown[] }>(friend, 'snapshot')).peers).toEqual([])
  const response = await page.request.get(`${helper.ui}/`)
  expect(response.ok()).toBe(true)
  expect(response.headers()['content-security-policy']).toContain("frame-ancestors 'none'")
})

test('a rebound DNS name gets nothing, not even the app', async () => {
  const port = new URL(helper.ui).port
  const browser = await chromium.launch({
    ...(process.env.HDP_CHROMIUM === undefined ? {} : { executablePath: process.env.HDP_CHROMIUM }),
    args: [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--host-resolver-rules=MAP evil.example 127.0.0.1'],
  })
  try {
    const page = await browser.newPage()
    const response = await page.goto(`http://evil.example:${port}/`)
    expect(response?.status()).toBe(403)
    const outcome = await page.evaluate(async () => {
      const answer = await fetch('/api/status')
      return answer.status
    })
    expect(outcome).toBe(403)
    const socket = await page.evaluate(
      (to) =>
        new Promise<string>((resolve) => {
          const opened = new WebSocket(`ws://evil.example:${to}/control`)
          opened.addEventListener('open', () => resolve('opened'))
          opened.addEventListener('error', () => resolve('refused'))
        }),
      port,
    )
    expect(socket).toBe('refused')
  } finally {
    await browser.close()
  }
})

test('an unpaired browser on the right origin learns nothing and can call nothing', async ({ page }) => {
  await page.goto(helper.ui)
  const answer = await page.evaluate(async () => (await fetch('/api/status')).status)
  expect(answer).toBe(401)
  const said = await page.evaluate(
    () =>
      new Promise<{ messages: string[]; code: number }>((resolve) => {
        const messages: string[] = []
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/control`)
        socket.addEventListener('message', (event) => {
          messages.push(String(event.data))
          socket.send(JSON.stringify({ kind: 'rpc', id: '1', type: 'APPLY', path: ['snapshot'], argumentList: [] }))
        })
        socket.addEventListener('close', (event) => resolve({ messages, code: event.code }))
      }),
  )
  expect(said.code).not.toBe(1000)
  for (const message of said.messages) {
    expect(message).not.toContain(helper.code)
    expect(message).not.toContain('snapshot')
    expect(message).not.toContain(helper.folder.root)
  }
})
