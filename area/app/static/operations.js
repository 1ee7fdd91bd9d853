"use strict";

// What the page opens with, one tab each.
window.AREA_OPERATIONS = [
  {
    query: `# Who am I? Sign in above first.
query Me {
  viewer {
    email
    displayName
    createdAt
  }
}
`,
  },
  {
    query: `# Everything that happens in the account, live. Leave it running and fire the webhook.
subscription Live {
  feed {
    isCaughtUp
    events { at kind message stepKey attributes area { name } }
  }
}
`,
  },
  {
    query: `# My AREAs; hook.webhookUrl is the address to send deliveries to.
query MyAreas {
  viewer {
    areas(first: 20) {
      nodes {
        id
        name
        status
        action { definition { key } config }
        reactions { key definition { key } config }
        hook { kind status webhookUrl nextDueAt }
      }
    }
  }
}
`,
  },
  {
    query: `# A new AREA: one action, many reactions.
mutation CreateArea($input: CreateAreaInput!) {
  createArea(input: $input) {
    area { id name hook { webhookUrl } }
    errors { code message path }
  }
}
`,
    variables: JSON.stringify(
      {
        input: {
          name: "Greet who knocks",
          action: { action: "webhook.received", config: {} },
          reactions: [{ reaction: "flow.log", config: { message: "Hello {{ trigger.body.name }}" } }],
        },
      },
      null,
      2,
    ),
  },
  {
    query: `# The newest runs, with what each step did.
query Runs {
  viewer {
    runs(first: 10) {
      nodes {
        id
        status
        createdAt
        durationMs
        area { name }
        steps { key status attempt input output failure { message } }
      }
    }
  }
}
`,
  },
];
