// @vitest-environment node
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RootNode, type TemplateChildNode, NodeTypes, parse } from '@vue/compiler-dom'
import { expect, it } from 'vitest'

/** Whatever a person reads or hears comes from the locale files: templates hold no words of their own. */

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url))

/** Attributes and properties whose value is shown or spoken. */
const SPOKEN = new Set(['aria-label', 'aria-description', 'aria-roledescription', 'aria-valuetext', 'title', 'placeholder', 'alt', 'label', 'action'])

/** Names, commands and examples of addresses, the same in every language. */
const NAMES = /harddrive|party|hdp pair|npm start|QR|TCP|UDP|QUIC|IPv|STUN|kB\/s|\bms\b|brave-otter-hdp1…|\w+:\/\/\S+|\/home\/you\/Music/g

const hasWords = (text: string) => /\p{L}{2}/u.test(text.replaceAll(NAMES, ''))

/** The literals of an expression that are not keys or values given to `t(`. */
function literalsOf(expression: string): string[] {
  const own = withoutCalls(expression)
  return [...own.matchAll(/'([^'\\]*)'|"([^"\\]*)"|`([^`\\]*)`/g)].map((match) => (match[1] ?? match[2] ?? match[3] ?? '').replaceAll(/\$\{[^}]*\}/g, ' '))
}

/** Blanks what stands between the parentheses of a call, at any depth: whoever is called says what becomes of it. */
function withoutCalls(expression: string): string {
  let depth = 0
  let kept = ''
  for (let i = 0; i < expression.length; i++) {
    const char = expression[i]!
    if (char === '(' && (depth > 0 || /[\w$\]]/.test(expression[i - 1] ?? ''))) depth += 1
    else if (char === ')' && depth > 0) depth -= 1
    else if (depth === 0) kept += char
  }
  return kept
}

/** A literal that only chooses: compared with, or a key. */
const isShown = (literal: string) => hasWords(literal) && (/\s/.test(literal.trim()) || /^\p{Lu}/u.test(literal))

function findRaw(node: RootNode | TemplateChildNode, found: string[]): void {
  if (node.type === NodeTypes.TEXT && hasWords(node.content)) found.push(node.content.trim())
  if (node.type === NodeTypes.INTERPOLATION && 'content' in node.content) found.push(...literalsOf(String(node.content.content)).filter(isShown))
  if (node.type === NodeTypes.ELEMENT) {
    for (const prop of node.props) {
      if (prop.type === NodeTypes.ATTRIBUTE && SPOKEN.has(prop.name) && hasWords(prop.value?.content ?? '')) found.push(`${prop.name}="${prop.value?.content}"`)
      if (prop.type !== NodeTypes.DIRECTIVE || prop.name !== 'bind' || prop.exp === undefined || !('content' in prop.exp)) continue
      const name = prop.arg !== undefined && 'content' in prop.arg ? String(prop.arg.content) : ''
      if (SPOKEN.has(name)) found.push(...literalsOf(String(prop.exp.content)).filter(hasWords).map((literal) => `:${name} ${literal}`))
    }
  }
  if ('children' in node) for (const child of node.children as TemplateChildNode[]) if (typeof child === 'object') findRaw(child, found)
}

/** Sentences in scripts: a literal that starts like one and goes on, other than the path of a drawing. */
function rawInScript(script: string): string[] {
  const code = script.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')
  return [...code.matchAll(/(?<!new Error\()(['"`])((?:[\p{Lu}“][^'"`\n]*)?\s[^'"`\n]*[\p{L}.…]|[\p{Lu}“]\p{Ll}[^'"`\n]*…)\1/gu)].map((match) => match[2]!).filter((literal) => /^[\p{Lu}“]/u.test(literal) && !/^M(\d|\$\{)/.test(literal))
}

/** Vue files, and modules beside them that make words. The mock is for developers; the locales are the words. */
const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((file) => (file.endsWith('.vue') || file.endsWith('.ts')) && !/^(mock|locales)\//.test(file))

function rawIn(source: string, isVue: boolean): string[] {
  if (!isVue) return rawInScript(source)
  const template = /^<template>\n([\s\S]*?)^<\/template>/m.exec(source)?.[1] ?? ''
  const script = /^<script[^>]*>\n([\s\S]*?)^<\/script>/m.exec(source)?.[1] ?? ''
  const found: string[] = []
  findRaw(parse(template), found)
  return [...found, ...rawInScript(script)]
}

const vue = (template: string, script = '') => rawIn(`<script setup lang="ts">\n${script}\n</script>\n\n<template>\n${template}\n</template>\n`, true)

it('finds words that are not from the locale files', () => {
  expect(vue('<p>Hello</p>')).toEqual(['Hello'])
  expect(vue('<p :title="`Open ${name}`" aria-label="Close">{{ isOpen ? \'Very open\' : t(\'shell.skip\') }}</p>')).toEqual([':title Open  ', 'aria-label="Close"', 'Very open'])
  expect(vue('<p/>', "toasts.show(`“${name}” is here.`)")).toHaveLength(1)
  expect(vue('<SvgIcon :name="a ? \'back\' : \'open\'" /><code>hdp pair</code>{{ t(\'a.b\', { name: \'An Ada\' }) }}', "const kind = 'some kind'")).toEqual([])
})

it.each(files)('%s', (file) => {
  expect(rawIn(readFileSync(join(SOURCE, file), 'utf8'), file.endsWith('.vue'))).toEqual([])
})
