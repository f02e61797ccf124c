/** The version of the program, as package.json says; the bundler puts the text in. */
import description from '../package.json' with { type: 'json' }

export const VERSION: string = description.version
